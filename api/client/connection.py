"""How a call is made: over one pool of connections, repeated while that may help and is safe."""

import random
import re
import time
import uuid
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from ipaddress import ip_address
from typing import Any, Self

import httpx
from pydantic import ValidationError

from .answers import Answer
from .errors import ApiError, ClientError, NotTheService, Unreachable, Unusable, refusal
from .version import __version__
from .wire import as_json, parameters

PATIENCE_SECONDS = 60.0
FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 5.0
TIMEOUT = httpx.Timeout(30, connect=5, pool=60)
STREAM_TIMEOUT = httpx.Timeout(60, connect=5)
"""A stream says something (a comment at least) every 15 s: four times that is a dead connection."""


class Connection:
    """An address, a key, and how calls are made with them; the calls themselves are beside it, by resource."""

    def __init__(self, base_url: str, api_key: str, *, patience: float = PATIENCE_SECONDS) -> None:
        """Raises Unusable for what is no http(s) address, or no key."""
        self.base_url: str = base_url.rstrip("/")
        self.patience: float = patience
        host = _host(self.base_url)
        if not re.fullmatch(r"[\x21-\x7e]+", api_key):
            raise Unusable("the API key is empty, or holds characters that no key has")
        self._http = httpx.Client(
            base_url=self.base_url,
            headers={"Authorization": f"Bearer {api_key}", "User-Agent": f"vivideo-client/{__version__}"},
            timeout=TIMEOUT,
            # As many connections as there are threads: one that waits for a render must not hold up the others.
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=20),
            # A proxy for the world has no way to this machine.
            trust_env=not _is_loopback(host),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _ask(self, model: type[Answer], method: str, path: str, **options: Any) -> Answer:
        return self._read(self._send(method, path, **options), lambda answer: model.model_validate_json(answer.content))

    def _rehearse(
        self, model: type[Answer], path: str, *, params: Mapping[str, str | list[str]] | None = None, **options: Any
    ) -> Answer:
        """A POST that is only checked: what it would come to."""
        return self._ask(model, "POST", path, params={**(params or {}), "dry_run": "true"}, **options)

    def _list(self, model: type[Answer], path: str, **given: Any) -> Answer:
        """A page of a list; what of `given` is None is not asked for."""
        return self._ask(model, "GET", path, params=parameters(given))

    def _read(self, response: httpx.Response, read: Callable[[httpx.Response], Answer]) -> Answer:
        try:
            return read(response)
        except ValidationError:
            raise NotTheService(self.base_url) from None

    def _send(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str | list[str]] | None = None,
        body: Mapping[str, Any] | None = None,
        content: Callable[[], Iterator[bytes]] | None = None,
        idempotency_key: str | None = None,
        wait: int | None = None,
        follow: bool = False,
        accept: Sequence[int] = (),
        timeout: httpx.Timeout = TIMEOUT,
    ) -> httpx.Response:
        """One call, repeated under one key; `accept` are the statuses that are no error beside 2xx."""
        sent = {**(headers or {}), **({"Prefer": f"wait={wait}"} if wait else {})}
        if method == "POST":
            sent["Idempotency-Key"] = str(uuid.uuid4()) if idempotency_key is None else idempotency_key
        if body is not None:
            sent["Content-Type"] = "application/json"
        payload = None if body is None else as_json(body)
        timeout = _longer(timeout, wait or 0)
        patience, repeated = self._patience(wait or 0), False
        while True:
            try:
                response = self._http.request(
                    method,
                    path,
                    headers=sent,
                    params=params,
                    content=content() if content else payload,
                    timeout=timeout,
                    follow_redirects=follow,
                )
                # What an earlier try deleted, whose answer was lost, is deleted.
                gone = repeated and method == "DELETE" and response.status_code == 404
                if response.is_success or response.status_code in accept or gone:
                    return response
                raise refusal(response)
            except UnicodeEncodeError:
                raise Unusable("a text holds characters that cannot be sent there") from None
            except (httpx.RequestError, ApiError) as fault:
                patience.pause(self._passing(fault))
                repeated = True

    @contextmanager
    def _streamed(self, path: str, *, accept: Sequence[int] = (200,), **options: Any) -> Generator[httpx.Response]:
        """What one connection brings, read while it comes: its cut is the caller's to mend. Raises ApiError."""
        with self._http.stream("GET", path, **options) as response:
            if response.status_code not in accept:
                response.read()
                raise refusal(response)
            yield response

    def _patience(self, longer: float = 0.0) -> "_Patience":
        return _Patience(self.patience + longer)

    def _passing(self, fault: httpx.RequestError | ApiError) -> ClientError:
        """The failure to raise if trying again does not help. Raises at once what no repetition changes."""
        if isinstance(fault, ApiError):
            if not fault.transient:
                raise fault
            return fault
        if isinstance(fault, httpx.UnsupportedProtocol | httpx.LocalProtocolError):
            raise Unusable(str(fault)) from None
        return Unreachable(self.base_url, fault)


class _Patience:
    """How long a call may go on repeating itself. Pauses grow, and chance spreads those of many clients evenly."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds
        self._longest = FIRST_PAUSE_SECONDS

    def pause(self, failure: ClientError) -> None:
        """Sleep until the next try, at least as long as the failure asks for. Raises it where that is too late."""
        at_least = (failure.retry_after if isinstance(failure, ApiError) else None) or 0.0
        seconds = at_least + random.uniform(0, self._longest)  # noqa: S311 - jitter
        if time.monotonic() + seconds > self._end:
            raise failure from None
        time.sleep(seconds)  # what the server asked for, and some of its own: callers that failed at once come apart
        self._longest = min(self._longest * 2, LONGEST_PAUSE_SECONDS)


def _host(base_url: str) -> str:
    """Raises Unusable."""
    try:
        url = httpx.URL(base_url)
    except (httpx.InvalidURL, UnicodeError):
        url = httpx.URL()
    if url.scheme not in ("http", "https") or not url.host:
        raise Unusable(f"{base_url!r} is no address of a service: it must be like http://127.0.0.1:8000")
    return url.host


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _longer(timeout: httpx.Timeout, seconds: float) -> httpx.Timeout:
    return httpx.Timeout(
        connect=timeout.connect, read=(timeout.read or 0) + seconds, write=timeout.write, pool=timeout.pool
    )
