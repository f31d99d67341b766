"""PostgreSQL's `infinity` among the moments: Python has no such moment, and the driver refuses to read it.

A render whose turn has not come has it as its `ready_at`. Read back, it is the last moment that there is, in UTC.
"""

from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg.abc import AdaptContext, Buffer
from psycopg.adapt import Loader
from psycopg.pq import Format

NEVER = datetime.max.replace(tzinfo=UTC)
"""As which `infinity` is read."""
_SINCE_EVER = datetime.min.replace(tzinfo=UTC)
_OID = psycopg.adapters.types["timestamptz"].oid
_INFINITE = {
    b"infinity": NEVER,
    b"-infinity": _SINCE_EVER,
    b"\x7f\xff\xff\xff\xff\xff\xff\xff": NEVER,
    b"\x80\x00\x00\x00\x00\x00\x00\x00": _SINCE_EVER,
}
"""As text, and as the binary protocol's 64 bits."""


def _reading(format: Format) -> type[Loader]:
    ordinary = psycopg.adapters.get_loader(_OID, format)
    assert ordinary is not None, "the driver knows timestamps"

    class Moment(Loader):
        """The driver's own reader, asked for all but infinity."""

        def __init__(self, oid: int, context: AdaptContext | None = None) -> None:
            super().__init__(oid, context)
            self._ordinary = ordinary(oid, context)

        def load(self, data: Buffer) -> Any:
            found = _INFINITE.get(bytes(data))
            return self._ordinary.load(data) if found is None else found

    Moment.format = format
    return Moment


def install() -> None:
    """For every connection made from here on."""
    for format in (Format.TEXT, Format.BINARY):
        psycopg.adapters.register_loader("timestamptz", _reading(format))
