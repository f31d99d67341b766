"""Starts the sandbox as a process of its own and speaks to it over plain HTTP, as any client would."""

import json
import random
import re
import signal
import socket
import ssl
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).resolve().parents[2]
UNUSED = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # all is plain HTTP; a usual one reads all certificates each time
ATTRIBUTION = {
    "X-Skill-Source": "vivideo-ai-video-generator",
    "X-Skill-Version": "1.0.0",
    "X-Skill-Platform": "unknown",
}
PROMPT = "Create a 3-second video for Aurora Lamp, a warm light for small rooms."


def free_port() -> int:
    """A port below the range the system hands out by itself."""
    for port in random.sample(range(20_000, 32_000), 200):
        with socket.socket() as tried:
            if tried.connect_ex(("127.0.0.1", port)) != 0:
                return port
    raise RuntimeError("no free port")


def until(holds: Callable[[], Any], seconds: float = 10.0) -> Any:
    """Wait for a condition and answer its value; AssertionError when it does not come."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := holds():
            return value
        time.sleep(0.02)
    raise AssertionError("the condition did not come")


class Sandbox:
    """One sandbox process; it may be killed and started again on the same data."""

    def __init__(self, data: Path, *options: str) -> None:
        self.data = data
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self._options = options
        self.http = httpx.Client(
            base_url=self.address, timeout=30, verify=UNUSED
        )  # without a token: control, downloads
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "deploy.sandbox", "--port", str(self.port), "--data", str(self.data)]
        process = subprocess.Popen([*command, *self._options], cwd=ROOT, stdout=subprocess.DEVNULL)
        until(self._answers, 20)
        return process

    def _answers(self) -> bool:
        try:
            return self.http.get("/").status_code == 200
        except httpx.HTTPError:
            return False

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait()

    def terminate(self) -> float:
        """SIGTERM; answers how many seconds the end took."""
        started = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(10)
        return time.monotonic() - started

    def start_again(self) -> None:
        """Start on the same port and data."""
        self.process = self._start()

    def rule(self, **wish: Any) -> None:
        """Add a rule."""
        self.http.post("/_sandbox/rules", json=wish).raise_for_status()

    def switch(self, **values: Any) -> None:
        """Change settings."""
        self.http.post("/_sandbox/settings", json=values).raise_for_status()

    def ledger(self) -> dict[str, Any]:
        """The whole ledger."""
        report: dict[str, Any] = self.http.get("/_sandbox/ledger").json()
        return report

    def violations(self) -> list[str]:
        """What clients did wrong so far."""
        return [one["what"] for one in self.ledger()["violations"]]


@dataclass
class Reply:
    """What came of a message."""

    status: int
    body: bytes = b""
    broken: bool = False  # the connection ended in the middle
    events: list[Any] = field(default_factory=list)

    @property
    def code(self) -> Any:
        """The code of a refusal."""
        return json.loads(self.body)["code"]

    def words(self) -> str:
        """All that was said in whole texts, of either dialect."""
        found = [event.get("content") for event in self.events if isinstance(event, dict) and not event.get("partial")]
        typed = "".join(one for one in found if isinstance(one, str))
        parts = [part for one in found if isinstance(one, dict) for part in one["parts"]]
        return typed + "".join(part["text"] for part in parts if "text" in part and "thought" not in part)


def parsed(body: bytes) -> list[Any]:
    """The events of a stream, after the event stream format's own rules."""
    text = body.removeprefix(b"\xef\xbb\xbf").decode()
    events: list[Any] = []
    for block in re.split(r"(?:\r\n|\n|\r){2}", text):
        lines = [line[5:].removeprefix(" ") for line in re.split(r"\r\n|\n|\r", block) if line.startswith("data:")]
        if "".join(lines):
            events.append(json.loads("\n".join(lines)))
    return events


class Caller:
    """A client with a token of its own."""

    def __init__(self, sandbox: Sandbox, token: str | None = None) -> None:
        self.sandbox = sandbox
        self.token = token or f"nmv_sandbox_{uuid.uuid4().hex}"
        headers = {**ATTRIBUTION, "Authorization": f"Bearer {self.token}"}
        self.http = httpx.Client(base_url=sandbox.address, headers=headers, timeout=30, verify=UNUSED)

    def session(self, language: str = "en") -> str:
        """A new session."""
        body = {"task_name": "project", "language": language}
        answer = self.http.post("/api/tasks/me/with-session/nemo_agent", json=body)
        return answer.json()["data"]["session_id"]

    def upload(self, session: str, *files: tuple[str, bytes]) -> httpx.Response:
        """Upload files as multipart."""
        return self.http.post(f"/api/upload-video/nemo_agent/me/{session}", files=[("files", one) for one in files])

    def upload_url(self, session: str, url: str) -> httpx.Response:
        """Upload by address."""
        body = {"urls": [url], "source_type": "url"}
        return self.http.post(f"/api/upload-video/nemo_agent/me/{session}", json=body)

    @contextmanager
    def saying(self, session: str, text: str, seconds: float = 30) -> Generator[httpx.Response]:
        """Send a message and leave its stream open."""
        body = {"app_name": "nemo_agent", "user_id": "me", "session_id": session}
        body |= {"new_message": {"parts": [{"text": text}]}}
        head = {"Accept": "text/event-stream"}
        with self.http.stream("POST", "/run_sse", json=body, headers=head, timeout=seconds) as stream:
            yield stream

    def say(self, session: str, text: str = PROMPT, seconds: float = 30) -> Reply:
        """Send a message and read its stream to the end, whichever that is."""
        got = Reply(0)
        try:
            with self.saying(session, text, seconds) as stream:
                got.status = stream.status_code
                for chunk in stream.iter_raw():
                    got.body += chunk
                if got.status == 200 and stream.headers["content-type"].startswith("text/event-stream"):
                    got.events = parsed(got.body)
        except httpx.RemoteProtocolError:
            got.broken = True
        return got

    def state_text(self, session: str) -> str:
        """The state's bytes."""
        return self.http.get(f"/api/state/nemo_agent/me/{session}/latest").text

    def draft(self, session: str) -> Any:
        """The draft as a value."""
        return json.loads(self.state_text(session))["data"]["state"]["draft"]

    def draft_text(self, session: str) -> str:
        """The draft's bytes."""
        text = self.state_text(session)
        return text[text.index('"draft":') + 8 : text.index(',"video_infos"')]

    def export(self, session: str, draft: str | None = None, render: str | None = None, **head: str) -> httpx.Response:
        """Submit an export of the draft's own bytes, or of others."""
        render = render or f"render_{uuid.uuid4().hex}"
        body = f'{{"id":"{render}","sessionId":"{session}","draft":{draft or self.draft_text(session)},'
        body += '"output":{"format":"mp4","quality":"high"}}'
        head = {"content-type": "application/json", **head}
        return self.http.post("/api/render/proxy/lambda", content=body.encode(), headers=head)

    def poll(self, render: str) -> httpx.Response:
        """Ask once how far it is."""
        return self.http.get(f"/api/render/proxy/lambda/{render}")

    def exported(self, session: str, seconds: float = 10) -> dict[str, Any]:
        """Export and poll until it has ended."""
        render = self.export(session).json()["id"]
        return until(lambda: (got := self.poll(render).json())["status"] in ("completed", "failed") and got, seconds)

    def credits(self) -> dict[str, int]:
        """The balance."""
        return self.http.get("/api/credits/balance/simple").json()["data"]
