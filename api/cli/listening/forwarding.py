"""A program on this machine that is told of events, signed as the service signs."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address
from threading import Event, Thread

import httpx

from api.cli.listening.messages import Message
from api.cli.reporting import Mistake
from api.client import __version__
from worker.webhooks import signing

PAUSES = (0.5, 1.0, 2.5)
"""Seconds between tries: a program that is being restarted is back by then."""
TRY_SECONDS = 20.0
"""A whole try, as the service's own."""
CONNECT_SECONDS = 2
"""A program on this machine answers a connection at once or not at all."""
AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
ANSWER_CHARACTERS = 200
ANSWER_BYTES = 4096
"""As the service reads."""


@dataclass(frozen=True)
class Answer:
    """What came of telling: a status, or why there is none; `seconds` of the last try."""

    status: int | None
    error: str | None
    seconds: float
    tries: int
    text: str = ""

    @property
    def taken(self) -> bool:
        """Whether the receiver has it."""
        return self.status is not None and 200 <= self.status < 300


class Receiver:
    """Where events are forwarded to. Raises Mistake for what is no http(s) address."""

    def __init__(self, url: str, secret: str) -> None:
        self._url, self._secret = url, secret
        # Over after the try itself, so that there is one word for silence; its thread is left behind as long.
        timeout = httpx.Timeout(2 * TRY_SECONDS, connect=CONNECT_SECONDS)
        # A proxy for the world has no way to this machine.
        self._http = httpx.Client(timeout=timeout, follow_redirects=False, trust_env=not _is_here(url))

    def close(self) -> None:
        """Drop the connection."""
        self._http.close()

    def tell(self, message: Message, trying_again: Callable[[Answer, float], None]) -> Answer:
        """Post an event, a few times where that may help; `trying_again` hears of each answer that is no use and the
        pause before the next try."""
        for tries, pause in enumerate((*PAUSES, None), 1):
            answer = self._post(message, tries)
            if pause is None or answer.taken or (answer.status is not None and answer.status not in AGAIN):
                return answer
            trying_again(answer, pause)
            time.sleep(pause)  # the receiver is down: nothing tells when it is back
        raise AssertionError("the last try returns")

    def _post(self, message: Message, tries: int) -> Answer:
        signed = signing.headers([self._secret], message.id, datetime.now(UTC), message.body)
        headers = {"Content-Type": "application/json", "User-Agent": f"vivideo-hooks/{__version__}", **signed}
        headers["Accept-Encoding"] = "identity"
        one, began = _Try(), time.monotonic()
        ask = Thread(target=one.make, args=(self._http, self._url, message.body.encode(), headers), daemon=True)
        ask.start()
        one.over.wait(TRY_SECONDS)
        return one.answer(time.monotonic() - began, tries)


class _Try:
    """A POST in a thread of its own: the library's time-outs begin anew with each byte, so one that drips is left."""

    def __init__(self) -> None:
        self.over = Event()
        self._status: int | None = None
        self._error: str | None = None
        self._read = bytearray()
        self._left = False

    def make(self, http: httpx.Client, url: str, body: bytes, headers: dict[str, str]) -> None:
        """Ask, and read a little of the answer."""
        try:
            with http.stream("POST", url, content=body, headers=headers) as told:
                self._status = told.status_code
                packed = told.headers.get("content-encoding", "identity") != "identity"
                for piece in () if packed else told.iter_raw():
                    self._read += piece[:ANSWER_BYTES]
                    if self._left or len(self._read) >= ANSWER_BYTES:
                        break
        except Exception as fault:  # whatever it is: nobody else hears of it, a thread's own goes to the screen
            self._error = str(fault) or type(fault).__name__
        finally:
            self.over.set()

    def answer(self, seconds: float, tries: int) -> Answer:
        """What it has come to by now. A body that broke off or is still to come does not undo the status."""
        self._left = True
        if self._status is None:
            return Answer(None, self._error or f"nothing within {TRY_SECONDS:g} s", seconds, tries)
        text = bytes(self._read).decode(errors="replace")[:ANSWER_CHARACTERS].strip()
        return Answer(self._status, None, seconds, tries, text)


def _is_here(url: str) -> bool:
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, UnicodeError):
        parsed = httpx.URL()
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise Mistake(f"{url!r} is no address to forward to: it must be like http://localhost:3000/hooks")
    try:
        return ip_address(parsed.host).is_loopback
    except ValueError:
        return parsed.host == "localhost"
