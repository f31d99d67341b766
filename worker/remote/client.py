"""The remote render backend, call by call.

Each method does one call, once, and gives its answer or raises one of `errors`. Nothing is repeated here: when to try
again is the pipeline's decision, because it holds the row that remembers.
"""

import json
import ssl
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from functools import lru_cache, partial
from typing import Any, BinaryIO
from urllib.parse import quote, urlencode, urljoin

import httpx

from config.settings import Settings, Waits
from worker.remote import answers, counted, expected, noticing
from worker.remote.errors import RemoteError, TryAgain, Unintelligible
from worker.remote.faults import decoded, fault
from worker.remote.headers import attribution, bearer, platform
from worker.remote.line import Abort
from worker.remote.models import AnonymousToken, Balance, Claim, ClaimLink, ExportStatus, SessionIds, UploadedFile
from worker.remote.multipart import Multipart
from worker.remote.pulse import NOBODY, Pulse
from worker.remote.record import Exchange, Recorder, unrecorded
from worker.remote.state import State
from worker.remote.stream import Endpoint, Patience, StreamEvent, Turn, send_message

KEEPALIVE_SECONDS = 4.0
"""Below the server's own 5 s: a pooled connection it closes first fails the next call now and then."""
POOLED = 64
"""Idle connections kept; more only waste sockets, as they live for seconds."""
LARGEST_ANSWER = 64 * 1024 * 1024
"""Bytes of an ordinary answer: drafts are megabytes at most, and one worker holds many."""
REDIRECTS = 5
"""Of a download, each followed without our headers."""


@lru_cache(maxsize=1)
def tls_context() -> ssl.SSLContext:
    """The process's TLS context: building one costs 20 ms and 856 KB. Built at first use, after any monkey-patching."""
    return httpx.create_ssl_context()


class Remote:
    """One per process, shared by its threads or greenlets; make it after a fork, connections do not survive one.

    A `recorder` is told of each call, a `pulse` whether it was answered.
    """

    def __init__(
        self,
        base_url: str,
        web_url: str,
        *,
        platform: str,
        waits: Waits,
        recorder: Recorder | None = None,
        pulse: Pulse = NOBODY,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._record = recorder.exchange if recorder is not None else unrecorded
        self._pulse = pulse
        self._web_url = web_url.rstrip("/")
        self._attribution = attribution(platform)
        self._waits = waits
        self._http = httpx.Client(
            verify=tls_context(),
            timeout=httpx.Timeout(
                waits.http_read_seconds.total_seconds(), connect=waits.http_connect_seconds.total_seconds()
            ),
            limits=httpx.Limits(
                max_connections=None, max_keepalive_connections=POOLED, keepalive_expiry=KEEPALIVE_SECONDS
            ),
            follow_redirects=False,
        )

    @classmethod
    def from_settings(cls, settings: Settings, *, pulse: Pulse = NOBODY) -> "Remote":
        upstream = settings.upstream
        return cls(
            upstream.api_url,
            upstream.web_url,
            platform=platform(upstream.skill_source),
            waits=settings.waits,
            pulse=pulse,
        )

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> "Remote":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Accounts

    def anonymous_token(self, client_id: str) -> AnonymousToken:
        """A trial token for this installation's client id; one per client in 7 days, or `RateLimited`."""
        body = self._call("anonymous_token", "POST", "/api/auth/anonymous-token", headers={"X-Client-Id": client_id})
        return answers.model("anonymous_token", body, AnonymousToken)

    def credits(self, token: str) -> Balance:
        body = self._call("credits", "GET", "/api/credits/balance/simple", token)
        balance = answers.model("credits", body, Balance)
        if balance.total is None:
            return balance.model_copy(update={"total": balance.available + balance.frozen})
        return balance

    # Sessions

    def create_session(self, token: str, language: str, task_name: str = "project") -> SessionIds:
        """A new task with its session. `language` is ISO 639-1."""
        body = self._call(
            "create_session",
            "POST",
            "/api/tasks/me/with-session/nemo_agent",
            token,
            payload={"task_name": task_name, "language": language},
        )
        ids = answers.model("create_session", body, SessionIds)
        return ids.model_copy(update={"bind_id": ids.bind_id or answers.bind_of(body)})

    def claim_link(self, token: str, task_id: str, session_id: str) -> ClaimLink:
        """A link that hands the session to a person's own account; it carries a claim, never the bearer token."""
        payload = {"task_id": task_id, "session_id": session_id}
        body = self._call("claim_link", "POST", "/api/auth/claim-token", token, payload=payload)
        claim = answers.model("claim_link", body, Claim)
        query = urlencode({"ct": claim.claim_token})
        return ClaimLink(url=f"{self._web_url}/workspace/claim?{query}", expires_in=claim.expires_in)

    def state(self, token: str, session_id: str) -> State:
        body = self._call("state", "GET", f"/api/state/nemo_agent/me/{_segment(session_id)}/latest", token)
        return answers.state(body)

    def send_message(
        self,
        token: str,
        session_id: str,
        text: str,
        *,
        deadline: float,
        on_event: Callable[[StreamEvent], None],
        abort: Abort,
    ) -> Turn:
        """The paid message, once, on a connection of its own; see `stream.send_message`."""
        waits = self._waits
        patience = Patience(
            connect=waits.http_connect_seconds.total_seconds(),
            idle=waits.stream_idle_seconds.total_seconds(),
            silence=waits.stream_silence_seconds.total_seconds(),
            longest=waits.stream_max_seconds.total_seconds(),
        )
        endpoint = Endpoint(self._base_url, token, self._attribution, tls_context, self._record)
        send = partial(send_message, endpoint, patience, session_id, text, deadline=deadline, abort=abort)
        turn = counted.followed(lambda heard: send(on_event=heard), on_event)
        self._pulse.turn(turn)
        return turn

    # Uploads

    def upload_file(
        self,
        token: str,
        session_id: str,
        *,
        filename: str,
        media_type: str,
        content: BinaryIO | Iterable[bytes],
        size: int,
    ) -> list[UploadedFile]:
        """Send one file of `size` bytes, read as it is sent; `SizeChanged` (a ValueError) if it is not that long."""
        body = Multipart(filename, media_type, content, size)
        answer = self._call("upload_file", "POST", _upload_path(session_id), token, headers=body.headers, content=body)
        return answers.files("upload_file", answer)

    def upload_urls(self, token: str, session_id: str, urls: list[str]) -> list[UploadedFile]:
        """Let the backend fetch the URLs; `AssetUnreachable` where it cannot."""
        payload = {"urls": urls, "source_type": "url"}
        answer = self._call("upload_urls", "POST", _upload_path(session_id), token, payload=payload)
        return answers.files("upload_urls", answer)

    # Exports

    def submit_export(
        self, token: str, export_id: str, session_id: str, draft: bytes, fmt: str = "mp4", quality: str = "high"
    ) -> ExportStatus:
        """Ask for an export of `draft`, which is sent back byte for byte; `IdTaken` where the id was used before."""
        content = b'{"id":%b,"sessionId":%b,"draft":%b,"output":%b}' % (
            _json(export_id),
            _json(session_id),
            draft,
            _json({"format": fmt, "quality": quality}),
        )
        headers = {"Content-Type": "application/json"}
        body = self._call("submit_export", "POST", "/api/render/proxy/lambda", token, headers=headers, content=content)
        return answers.export("submit_export", body)

    def poll_export(self, token: str, export_id: str) -> ExportStatus:
        """How far the export is; `ExportUnknown` where the backend never accepted that id."""
        path = f"/api/render/proxy/lambda/{_segment(export_id)}"
        return answers.export("poll_export", self._call("poll_export", "GET", path, token))

    def cancel_export(self, token: str, export_id: str) -> None:
        self._call("cancel_export", "POST", f"/api/render/proxy/lambda/{_segment(export_id)}/cancel", token)

    @contextmanager
    @counted.opened("open_fallback_download")
    def open_fallback_download(self, token: str, export_id: str) -> Generator[httpx.Response]:
        """The finished file through the API, as an open response to read in pieces.

        Where the backend answers with a redirect or a link, that is followed without token and attribution, same host
        or not. Network faults while reading raise `TryAgain` too.
        """
        call = "open_fallback_download"
        url = f"{self._base_url}/api/render/proxy/{_segment(export_id)}/download"
        headers: Mapping[str, str] = {**self._attribution, **bearer(token)}
        with self._pulse.feel(call):
            try:
                for _ in range(REDIRECTS + 1):
                    kept = self._record(call, "GET", url, headers.items(), b"")
                    with kept, self._http.stream("GET", url, headers=headers) as response:
                        _answered(kept, response)
                        following = _elsewhere(call, response, token, kept)
                        if following is None:
                            yield response
                            return
                    url, headers = urljoin(url, following), {}
            except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
                raise Unintelligible(call, "not a URL to download from") from error
            except httpx.TransportError as error:
                raise TryAgain(call, type(error).__name__) from error
            raise Unintelligible(call, "too many redirects")

    @counted.called
    def _call(
        self,
        call: str,
        method: str,
        path: str,
        token: str | None = None,
        *,
        payload: object = None,
        headers: Mapping[str, str] | None = None,
        content: bytes | Iterable[bytes] | None = None,
    ) -> bytes:
        """The body of a successful answer; raises for every refusal."""
        sent = {**self._attribution, **(bearer(token) if token is not None else {}), **(headers or {})}
        url = self._base_url + path
        told = _told(payload, content)
        with self._pulse.feel(call):
            try:
                with (
                    self._record(call, method, url, sent.items(), told) as kept,
                    self._http.stream(method, url, headers=sent, json=payload, content=content) as response,
                ):
                    _answered(kept, response)
                    body = _bounded(call, response)
                    kept.piece(body)
            except httpx.TransportError as error:
                raise TryAgain(call, type(error).__name__) from error
            _raise_for(call, response, body, token)
        return body


def _raise_for(call: str, response: httpx.Response, body: bytes, token: str | None) -> None:
    value = decoded(body)
    error = fault(call, response.status_code, value, response.headers, secret=token or "")
    if error is not None:
        expected.refused(call, response.status_code, value)
        raise error
    if 300 <= response.status_code < 400:
        noticing.shape(call, "a redirect")
        raise Unintelligible(call, "a redirect", status=response.status_code)
    expected.answered(call, value)


def _bounded(call: str, response: httpx.Response) -> bytes:
    pieces: list[bytes] = []
    size = 0
    try:
        for piece in response.iter_bytes():
            pieces.append(piece)
            size += len(piece)
            if size > LARGEST_ANSWER:
                raise Unintelligible(call, f"more than {LARGEST_ANSWER} bytes", status=response.status_code)
    except httpx.DecodingError as error:
        raise Unintelligible(call, "undecodable body", status=response.status_code) from error
    return b"".join(pieces)


def _elsewhere(call: str, response: httpx.Response, token: str, kept: Exchange) -> str | None:
    """Where a download answer points to; None where it is the file itself; raises where it is a refusal."""
    if response.is_redirect:
        return response.headers["location"]
    if response.status_code < 300 and "json" not in response.headers.get("content-type", ""):
        return None
    body = _bounded(call, response)
    kept.piece(body)
    _raise_for(call, response, body, token)
    link = answers.export(call, body).url
    if link is None:
        raise Unintelligible(call, "neither a file nor a link", status=response.status_code)
    return link


def _upload_path(session_id: str) -> str:
    return f"/api/upload-video/nemo_agent/me/{_segment(session_id)}"


def _segment(value: str) -> str:
    return quote(value, safe="")


def _answered(kept: Exchange, response: httpx.Response) -> None:
    kept.answered(response.status_code, response.headers.multi_items(), response.request.headers.multi_items())


def _told(payload: object, content: bytes | Iterable[bytes] | None) -> bytes | None:
    """The request's body for a record; None where it is streamed."""
    if payload is not None:
        return _json(payload)
    return content if isinstance(content, bytes) else None if content is not None else b""


def _json(value: Any) -> bytes:
    return json.dumps(value).encode("ascii")


__all__ = ["ExportStatus", "Remote", "RemoteError", "State", "tls_context"]
