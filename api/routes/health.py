"""Whether this process lives, and whether renders can be made."""

from fastapi import APIRouter, Response

from api.bodies import AliveBody, HealthBody
from api.health import look
from api.routes.documented import answer, problems

router = APIRouter(tags=["health"])


@router.get("/livez", summary="Whether this process lives", responses=problems(keyed=False) | {200: answer("It does.")})
async def livez() -> AliveBody:
    """This process answers. Without a thread: those may all be waiting for a database that hangs."""
    return AliveBody(alive=True)


@router.get(
    "/readyz",
    summary="Whether renders can be made",
    responses=problems(keyed=False)
    | {
        200: answer("They can."),
        503: answer("They are taken on, and wait for what `missing` says.", model=HealthBody),
    },
)
def readyz(response: Response) -> HealthBody:
    """200 when the database answers and has today's schema, and a worker of each kind lives."""
    health = look()
    response.status_code = 200 if health.ready else 503
    return HealthBody(ready=health.ready, checks=health.checks, missing=health.missing)
