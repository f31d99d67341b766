"""A real agent server on loopback: the framework's own application, with an agent that needs no network.

Run as a program: `agent_server.py <folder> <listening descriptor>`. The agent does what the message's first word says.
"""

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

AGENT = '''
import asyncio

from google.adk.agents import LlmAgent
from google.adk.models import BaseLlm, LlmResponse
from google.genai import types


def edit_video(what: str) -> dict:
    """Edits the video."""
    return {"applied": what}


def said(text, **facts):
    return LlmResponse(content=types.Content(role="model", parts=[types.Part(text=text)]), **facts)


class Offline(BaseLlm):
    async def generate_content_async(self, llm_request, stream=False):
        turn = [c for c in llm_request.contents if c.parts and c.parts[0].text and c.role == "user"][-1]
        word = turn.parts[0].text.split()[0]
        edited = any(p.function_response for p in llm_request.contents[-1].parts or [])
        if word in ("edit", "silent") and not edited:
            yield said("I will edit it. ", partial=True)
            call = types.FunctionCall(name="edit_video", args={"what": "title"})
            parts = [types.Part(text="I will edit it. "), types.Part(function_call=call)]
            yield LlmResponse(content=types.Content(role="model", parts=parts))
        elif word == "silent":
            empty = types.Content(role="model", parts=[])
            yield LlmResponse(content=empty, error_code="MODEL_RETURNED_NO_CONTENT", error_message="no content")
        elif word == "fail":
            yield said("Half an ", partial=True)
            raise RuntimeError('the "model"\\nfell over')
        elif word == "hang":
            yield said("One moment. ", partial=True)
            await asyncio.sleep(60)
        else:
            thought = types.Part(text="Let me think.", thought=True)
            yield LlmResponse(content=types.Content(role="model", parts=[thought]), partial=True)
            yield said("All ", partial=True)
            yield said("done\\u2028now.", partial=True, finish_reason=types.FinishReason.STOP)
            parts = [thought, types.Part(text="All done\\u2028now.")]
            yield LlmResponse(content=types.Content(role="model", parts=parts), finish_reason=types.FinishReason.STOP)


root_agent = LlmAgent(name="nemo_agent", model=Offline(model="offline"), tools=[edit_video])
'''


class AgentServer:
    """The running server; `kill` ends it at once."""

    def __init__(self, url: str, process: "subprocess.Popen[bytes]") -> None:
        self.url = url
        self._process = process

    def new_session(self) -> str:
        answer = httpx.post(f"{self.url}/apps/nemo_agent/users/me/sessions", json={}, timeout=30)
        return str(answer.raise_for_status().json()["id"])

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


@contextmanager
def running(folder: Path, python: str = sys.executable) -> Iterator[AgentServer]:
    """Started and answering; the log is in `folder`."""
    agent = folder / "agents" / "nemo_agent"
    agent.mkdir(parents=True)
    (agent / "__init__.py").write_text("from . import agent\n")
    (agent / "agent.py").write_text(AGENT)
    with socket.create_server(("127.0.0.1", 0)) as listener, (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [python, __file__, str(folder / "agents"), str(listener.fileno())],
            pass_fds=(listener.fileno(),),
            stdout=log,
            stderr=log,
            cwd=folder,
        )
        server = AgentServer(f"http://127.0.0.1:{listener.getsockname()[1]}", process)
        try:
            httpx.get(f"{server.url}/list-apps", timeout=60).raise_for_status()  # queued until the server accepts
            yield server
        finally:
            server.kill()


def _serve(agents: str, descriptor: int) -> None:
    import uvicorn
    from google.adk.cli.fast_api import get_fast_api_app

    app: Any = get_fast_api_app(agents_dir=agents, web=False)
    uvicorn.run(app, fd=descriptor, log_level="warning")


if __name__ == "__main__":
    _serve(sys.argv[1], int(sys.argv[2]))
