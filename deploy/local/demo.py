"""`vivideo demo`: a running stack, one real render through the public API, and the video on disk.

On a terminal the stack stays until Ctrl-C; without one it stops by itself, with the render's outcome as exit status.
"""

import asyncio
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from .output import Terminal
from .pictures import draw
from .stack import FLOWER_USER, Stack, Wishes
from .up import run as run_stack

if TYPE_CHECKING:
    from rich.console import Console

    from api.client import Result

PROMPT = (
    "Create a 12-second vertical promotional video for a small home-goods shop: "
    "an insulated bottle, a stoneware mug and a bedside lamp. Warm, calm, with short captions and soft music."
)
VIDEO = Path("out/demo.mp4")
# The waits are made for the real backend, whose exports take a minute; the sandbox needs seconds.
SHORT_WAITS = {
    "VIVIDEO_EXPORT_POLL_SECONDS": "2",
    "VIVIDEO_SETTLE_SECONDS": "1",
    "VIVIDEO_LOOKUP_FIRST_SECONDS": "2",
    "VIVIDEO_LOOKUP_NEXT_SECONDS": "2",
}
SANDBOX_OPTIONS = ("--min-poll-seconds", SHORT_WAITS["VIVIDEO_EXPORT_POLL_SECONDS"])


def run() -> int:
    """The demo in the foreground; the exit status is 0 when the video is there.

    Raises:
        LocalError: the stack cannot be started.
    """
    stays = sys.stdin.isatty() and sys.stdout.isatty()
    outcome: list[int] = []

    async def work(stack: Stack) -> int | None:
        outcome.append(await _in_thread(lambda: _make_video(stack)))
        if not stays:
            return outcome[0]
        _console().print("The stack runs on: try the addresses above. [bold]Ctrl-C[/bold] stops it.")
        return None

    wishes = Wishes(any_port=True, sandbox_settings=SHORT_WAITS, sandbox_options=SANDBOX_OPTIONS)
    status = run_stack(wishes, Terminal(echo=False), work)
    # Interrupted before the video was there: not a success.
    return status or (outcome[0] if outcome else 130)


def _make_video(stack: Stack) -> int:
    from api.cli.progress import follow
    from api.client import Client, ClientError

    console = _console()
    try:
        with Client(stack.addresses.api, stack.api_key) as client:
            console.print("drawing three product pictures and sending them")
            pictures = draw(VIDEO.parent / "demo-pictures")
            assets = [client.upload(picture) for picture in pictures]
            made = client.create_render(PROMPT, assets=assets)
            console.print(f"render {made.id}", highlight=False)
            render = follow(client, made.id, console=console)
            if render.result is None:
                why = render.error.message if render.error else ""
                console.print(f"the render ended as {render.status}: {why}", markup=False)
                return 1
            client.download_video(made.id, VIDEO)
    except (ClientError, OSError) as error:
        console.print(str(error), markup=False)
        return 1
    _show(console, stack, render.result)
    return 0


def _show(console: "Console", stack: Stack, result: "Result") -> None:
    found = stack.addresses
    lines = [
        ("video", f"{VIDEO.absolute()}"),
        ("", f"{result.codec}, {result.width}×{result.height}, {result.duration:.1f} s"),
        ("", f"{result.bytes:,} bytes, sha256 {result.sha256}"),
        ("API docs", f"{found.api}/docs"),
        ("Flower", f"{found.flower} (user {FLOWER_USER}, password {stack.flower_password})"),
    ]
    console.print()
    for name, value in lines:
        console.print(f"  {name:<9} {value}", markup=False, highlight=False, soft_wrap=True)
    console.print()


def _console() -> "Console":
    from rich.console import Console

    return Console(file=sys.stdout)


async def _in_thread(work: Callable[[], int]) -> int:
    """Run blocking work in a daemon thread: unlike an executor's, it does not hold up Ctrl-C."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[int] = loop.create_future()

    def settle(status: int | None, error: BaseException | None) -> None:
        if done.cancelled():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(status or 0)

    def body() -> None:
        try:
            status, error = work(), None
        except BaseException as raised:  # handed over, not swallowed
            status, error = None, raised
        try:
            loop.call_soon_threadsafe(settle, status, error)
        except RuntimeError:
            return  # the loop is closed: the stack was stopped meanwhile

    threading.Thread(target=body, name="demo", daemon=True).start()
    return await done
