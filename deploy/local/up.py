"""`vivideo up`: settings in, a running stack out, and a few lines that say where everything is."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from config.settings import Servers

from .output import Terminal
from .stack import FLOWER_USER, Stack, Wishes, build
from .state import State
from .supervisor import Supervisor

Work = Callable[[Stack], Awaitable[int | None]]
"""What to do once the stack is ready; the exit status, or None to let it run until a signal."""


async def _stay(_: Stack) -> None:
    return None


def run(wishes: Wishes, terminal: Terminal, work: Work = _stay) -> int:
    """Run a stack in the foreground until a signal or `work`'s verdict; the exit status.

    Raises:
        LocalError: it cannot be started; nothing is left running.
    """
    state = State(Servers().state_dir)
    try:
        stack = build(state, wishes)
        return asyncio.run(_run(state, stack, terminal, work))
    finally:
        state.release()


async def _run(state: State, stack: Stack, terminal: Terminal, work: Work) -> int:
    supervisor = Supervisor(state, stack.steps, stack.environment, terminal)

    def note() -> None:
        state.note(stack.notes(supervisor.pids()))

    async def ready() -> int | None:
        note()
        supervisor.on_change = note
        terminal.plain(summary(stack, state.directory))
        return await work(stack)

    terminal.say(f"starting in {state.directory}")
    return await supervisor.run(ready)


def summary(stack: Stack, directory: Path) -> str:
    """Addresses, key and logs, for a person."""
    found = stack.addresses
    lines = [
        ("API", found.api),
        ("API docs", f"{found.api}/docs"),
        ("API key", f"{directory / 'api-key'}" if (directory / "api-key").exists() else "VIVIDEO_API_KEY"),
        ("Flower", f"{found.flower}   user {FLOWER_USER}, password {stack.flower_password}"),
        ("backend", f"{found.sandbox} (sandbox: a local stand-in)" if found.sandbox else found.backend),
        ("metrics", f"{found.api}/metrics; of dispatcher and workers: 'metrics' in {directory / 'stack.json'}"),
        ("logs", f"{directory / 'logs'}"),
    ]
    if stack.token_unused:
        lines.append(("note", "NEMO_TOKEN is set but not used: the sandbox has no use for it; --no-sandbox has"))
    return "\n".join(["", "vivideo is ready", *(f"  {name:<9} {value}" for name, value in lines), ""])
