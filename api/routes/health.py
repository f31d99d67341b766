"""Whether this process lives, and whether renders can be made."""

from fastapi import APIRouter
from starlette.responses import JSONResponse

from api.health import look

router = APIRouter(tags=["health"])


@router.get("/livez")
def livez() -> dict[str, bool]:
    """This process answers."""
    return {"alive": True}


@router.get("/readyz", responses={503: {"description": "`missing` says what is not there."}})
def readyz() -> JSONResponse:
    """200 when the database answers and has today's schema, and a worker of each kind lives."""
    health = look()
    return JSONResponse(
        {"ready": health.ready, "checks": health.checks, "missing": health.missing},
        status_code=200 if health.ready else 503,
    )
