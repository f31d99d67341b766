"""What can be switched: at the start by command-line options, while running by `POST /_sandbox/settings`."""

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

CHOICES: dict[str, tuple[str, ...]] = {
    "dialect": ("adk", "typed"),
    "envelope": ("code", "success", "bare"),
    "poll_shape": ("flat", "data"),
    "error_status": ("ok", "http"),
    "empty_draft": ("null", "object"),
    "on_disconnect": ("continue", "cancel"),
}
FIXED = frozenset({"data", "draw", "render_slots"})  # read once at the start


@dataclass
class Settings:
    """The sandbox's switches. Times are seconds, sizes bytes, prices credits."""

    data: Path
    draw: bool = True  # False: a tiny clip of the right length instead of a composited one
    render_slots: int = 1  # one FFmpeg already keeps two cores busy; the rest waits as "pending"
    stream_seconds: float = 2.0  # how long a turn's event stream lasts
    heartbeat_seconds: float = 5.0  # sparse, so that 1,500 streams cost little
    export_seconds: float = 0.0  # how long an export takes when nothing is drawn
    two_stage_seconds: float = 0.0  # above 0, music and titles follow a generation's stream after this time
    seed_credits: int = 1_000_000  # the live trial has 100; a local one is meant for many renders
    generation_price: int = 100
    edit_price: int = 50
    min_poll_seconds: float = 30.0  # the contract's poll interval; sooner polls are counted as violations
    max_upload_bytes: int = 200 * 1024 * 1024  # the contract's 200 MB
    token_seconds: float = 7 * 24 * 3600.0  # anonymous tokens live for 7 days
    link_seconds: float = 24 * 3600.0  # a signed result address lives for a day
    anonymous_limit: bool = False  # True: one anonymous token per client in 7 days, then 429
    dialect: str = "adk"
    envelope: str = "code"
    poll_shape: str = "flat"  # "flat": output.url at top level; "data": data.outputUrl
    error_status: str = "ok"  # "ok": coded errors come under HTTP 200; "http": with a matching status
    empty_draft: str = "null"
    on_disconnect: str = "continue"  # what a turn does when its client goes away

    def change(self, values: dict[str, Any]) -> None:
        """Set several switches or none; raises ValueError naming the first that is unknown or has a wrong value."""
        known = {field.name for field in fields(self)} - FIXED
        checked: dict[str, Any] = {}
        for name, value in values.items():
            if name not in known:
                raise ValueError(f"unknown or fixed setting {name!r}; there are {', '.join(sorted(known))}")
            checked[name] = _checked(name, getattr(self, name), value)
        for name, value in checked.items():
            setattr(self, name, value)

    def shown(self) -> dict[str, Any]:
        """All switches as JSON values."""
        return {**asdict(self), "data": str(self.data)}


def _checked(name: str, now: object, value: object) -> object:
    if name in CHOICES:
        if value not in CHOICES[name]:
            raise ValueError(f"{name} is one of {', '.join(CHOICES[name])}")
        return value
    if isinstance(now, bool):
        if not isinstance(value, bool):
            raise ValueError(f"{name} is true or false")
        return value
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise ValueError(f"{name} is a number from 0")
    return int(value) if isinstance(now, int) else float(value)
