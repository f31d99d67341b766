"""`python -m deploy.sandbox`: the command line."""

import argparse
import resource
import socket
import sys
from pathlib import Path

import uvicorn

from .app import build_app
from .compositor import compositor_for
from .settings import Settings

BACKLOG = 4096  # a thousand workers' streams may arrive within one second
GRACE = 1  # seconds that open streams get after a SIGTERM, before their tasks are cancelled


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    wanted = _options()
    settings = Settings(
        data=wanted.data.resolve(),
        draw=not wanted.no_draw,
        render_slots=wanted.render_slots,
        stream_seconds=wanted.stream_seconds,
        seed_credits=wanted.seed_credits,
        min_poll_seconds=wanted.min_poll_seconds,
        export_seconds=wanted.export_seconds,
        max_upload_bytes=wanted.max_upload_bytes,
    )
    for pair in wanted.set:
        name, _, value = pair.partition("=")
        settings.change({name: _value(value)})
    settings.data.mkdir(parents=True, exist_ok=True)
    _raise_file_limit()
    listener = _listen(wanted.host, wanted.port)
    sys.stdout.write(f"sandbox: listening on http://{wanted.host}:{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    config = uvicorn.Config(
        build_app(settings, compositor_for),
        access_log=False,
        log_level="critical",  # cut connections are meant; uvicorn would report each as an error
        backlog=BACKLOG,
        proxy_headers=False,
        server_header=False,
        ws="none",
        timeout_graceful_shutdown=GRACE,
    )
    uvicorn.Server(config).run(sockets=[listener])


def _options() -> argparse.Namespace:
    usual = Settings(data=Path())
    options = argparse.ArgumentParser(prog="python -m deploy.sandbox", description="A stand-in for the render backend.")
    options.add_argument("--host", default="127.0.0.1")
    options.add_argument("--port", type=int, default=8100, help="0 takes a free one and prints it")
    options.add_argument("--data", type=Path, required=True, help="where uploads, results and the ledger are kept")
    options.add_argument("--no-draw", action="store_true", help="tiny plain clips instead of composited ones")
    options.add_argument("--stream-seconds", type=float, default=usual.stream_seconds)
    options.add_argument("--export-seconds", type=float, default=usual.export_seconds, help="with --no-draw only")
    options.add_argument("--seed-credits", type=int, default=usual.seed_credits)
    options.add_argument("--render-slots", type=int, default=usual.render_slots)
    options.add_argument("--min-poll-seconds", type=float, default=usual.min_poll_seconds)
    options.add_argument("--max-upload-bytes", type=int, default=usual.max_upload_bytes)
    options.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="any other setting")
    return options.parse_args()


def _value(text: str) -> object:
    if text in ("true", "false"):
        return text == "true"
    try:
        return float(text)
    except ValueError:
        return text


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(
        family, socket.SOCK_STREAM, socket.IPPROTO_TCP
    )  # asyncio sets TCP_NODELAY on named TCP only
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    listener.listen(BACKLOG)
    return listener


def _raise_file_limit() -> None:
    """Each stream is an open file; the usual soft limit of 1,024 is too low for 1,500 of them."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    main()
