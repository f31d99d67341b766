"""The stack's programs: what runs with which settings, in which steps. `build` is the table of contents."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from config.settings import Capacity, Servers, Settings

from . import commands, ports
from .commands import Command
from .postgres import Postgres
from .program import Program, Ready, Wave, answers, at_once, python
from .servers import Server
from .state import State
from .valkey import Valkey

SANDBOX_PORT = 8100
METRICS_PORT = 9101
SCRAPED = ("dispatcher", "worker-stream", "worker-io", "worker-media")
FLOWER_USER = "vivideo"
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Wishes:
    """How a stack departs from the usual."""

    sandbox: bool = True
    any_port: bool = False
    """Take the next free port for the API too where its own is taken."""
    sandbox_settings: Mapping[str, str] = field(default_factory=dict[str, str])
    """Environment variables while the sandbox is used; the caller's own come first."""
    sandbox_options: tuple[str, ...] = ()


@dataclass(frozen=True)
class Addresses:
    """Where things are, for people and programs. `sandbox` is None when a real backend is used."""

    api: str
    flower: str
    sandbox: str | None
    backend: str
    metrics: Mapping[str, str]
    """Where each process is scraped."""


@dataclass(frozen=True)
class Stack:
    """Programs by step, the environment they all share, and where they will be found."""

    steps: list[list[Program]]
    environment: dict[str, str]
    addresses: Addresses
    api_key: str
    flower_password: str
    token_unused: bool
    """A token of the real backend's is set, and the sandbox is used."""

    def notes(self, pids: Mapping[str, int]) -> dict[str, Any]:
        """What `stack.json` says."""
        found = self.addresses
        return {
            "pid": os.getpid(),
            "api": {"url": found.api, "docs": f"{found.api}/docs"},
            "api_key": self.api_key,
            "flower": {"url": found.flower, "user": FLOWER_USER, "password": self.flower_password},
            "sandbox": {"url": found.sandbox} if found.sandbox else None,
            "backend": {"url": found.backend},
            "metrics": dict(found.metrics),
            "processes": dict(pids),
            "settings": {name: value for name, value in self.environment.items() if _is_noted(name)},
        }


def _is_noted(name: str) -> bool:
    """What a program beside the stack needs to see it as its processes do. Secrets stay where they were given: a token
    and a key in the environment are not meant to be on disk."""
    ours = name.startswith(("VIVIDEO_", "NEMO_")) or name == "SKILL_SOURCE"
    return ours and not name.endswith(("_TOKEN", "_KEY", "_CLIENT_ID"))


def build(state: State, wishes: Wishes) -> Stack:
    """Read the settings, choose the ports and lay out the steps. Raises LocalError where a needed port is taken."""
    environment = _inherited()
    servers, capacity = Servers(), Capacity()
    api_key = _revealed(servers.api_key) or state.secret("api-key", prefix="vv_")
    flower_password = state.secret("flower-password")
    addresses, sandbox_port = _addresses(servers, environment, wishes)
    environment |= {
        "VIVIDEO_STATE_DIR": str(state.directory),
        "VIVIDEO_API_KEY": api_key,
        "VIVIDEO_SECRET_KEY": _revealed(servers.secret_key) or state.secret("secret-key"),
        "NEMO_API_URL": addresses.backend,
        "PYTHONUNBUFFERED": "1",
    }
    embedded: list[Program] = []
    _choose_database(servers, state, environment, embedded)
    _choose_broker(servers, state, environment, embedded)
    steps = [embedded, [_migrations()]]
    token_unused = False
    if sandbox_port:
        token_unused = bool(environment.pop("NEMO_TOKEN", ""))  # of the real backend's, meaningless here
        environment = {**wishes.sandbox_settings, **environment}
        # A stand-in on this machine is for trying things out, with pictures and receivers on this machine too.
        environment["VIVIDEO_ALLOW_LOCAL_ADDRESSES"] = environment.get("VIVIDEO_ALLOW_LOCAL_ADDRESSES") or "true"
        steps.append([_sandbox(state, sandbox_port, wishes.sandbox_options)])
    steps.append(
        [
            _api(servers, addresses.api),
            _scraped("dispatcher", commands.dispatcher(), addresses),
            *_workers(capacity, addresses),
            _program("beat", commands.beat(state.directory / "beat-schedule")),
            _flower(addresses.flower, flower_password),
        ]
    )
    return Stack([step for step in steps if step], environment, addresses, api_key, flower_password, token_unused)


def _inherited() -> dict[str, str]:
    """This process's environment over `.env`: children run in the state directory and would not find the file."""
    from dotenv import dotenv_values

    root = str(Path(__file__).resolve().parents[2])
    written = {name: value for name, value in dotenv_values(".env").items() if value is not None}
    path = os.pathsep.join(part for part in (root, os.environ.get("PYTHONPATH", "")) if part)
    return written | os.environ | {"PYTHONPATH": path}


def _revealed(secret: Any) -> str | None:
    return secret.get_secret_value() if secret else None


def _addresses(servers: Servers, environment: Mapping[str, str], wishes: Wishes) -> tuple[Addresses, int | None]:
    chosen = servers.model_fields_set
    host = servers.api_host
    fixed = "api_port" in chosen or not wishes.any_port
    api_port = ports.choose(host, servers.api_port, setting="VIVIDEO_API_PORT", fixed=fixed)
    fixed = "flower_port" in chosen
    flower_port = ports.choose(LOOPBACK, servers.flower_port, setting="VIVIDEO_FLOWER_PORT", fixed=fixed)
    named = environment.get("NEMO_API_URL")
    sandbox_port = None
    if wishes.sandbox and not named:
        sandbox_port = ports.choose(LOOPBACK, SANDBOX_PORT, setting="NEMO_API_URL", fixed=False)
    sandbox = f"http://{LOOPBACK}:{sandbox_port}" if sandbox_port else None
    api = f"http://{_reachable(host)}:{api_port}"
    return Addresses(
        api=api,
        flower=f"http://{LOOPBACK}:{flower_port}",
        sandbox=sandbox,
        backend=sandbox or named or Settings().upstream.api_url,
        metrics={"api": f"{api}/metrics", **_metrics(servers)},
    ), sandbox_port


def _metrics(servers: Servers) -> dict[str, str]:
    """A port for each process without a web server, from the one that is set on."""
    host, port, found = servers.metrics_host, servers.metrics_port or METRICS_PORT, dict[str, str]()
    for name in SCRAPED:
        port = ports.choose(host, port, setting="VIVIDEO_METRICS_PORT", fixed=False)
        found[name] = f"http://{_reachable(host)}:{port}/metrics"
        port += 1
    return found


def _reachable(host: str) -> str:
    """An address that reaches a server listening on `host`, as written in a URL."""
    if host in ("", "0.0.0.0", "::"):  # noqa: S104 - compared, not bound
        return LOOPBACK
    return f"[{host}]" if ":" in host else host


def _choose_database(servers: Servers, state: State, environment: dict[str, str], embedded: list[Program]) -> None:
    if "database_url" in servers.model_fields_set:
        environment["VIVIDEO_DATABASE_URL"] = servers.database_url
        return
    server = Postgres(state.directory / "postgres")
    embedded.append(_embedded(server, Wave.DATABASE, also=server.ensure_database))
    environment["VIVIDEO_DATABASE_URL"] = server.url()


def _choose_broker(servers: Servers, state: State, environment: dict[str, str], embedded: list[Program]) -> None:
    if "broker_url" in servers.model_fields_set:
        environment["VIVIDEO_BROKER_URL"] = servers.broker_url
        return
    server = Valkey(state.directory / "valkey")
    embedded.append(_embedded(server, Wave.BACKEND))
    environment["VIVIDEO_BROKER_URL"] = server.broker_url()
    if "redis_url" not in servers.model_fields_set:
        environment["VIVIDEO_REDIS_URL"] = server.redis_url()


def _embedded(server: Server, wave: Wave, also: Callable[[], bool] = lambda: True) -> Program:
    async def ready() -> bool:
        return server.ready() and also()

    return Program(
        server.name,
        server.command,
        prepare=server.prepare,
        ready=ready,
        wave=wave,
        stop_signal=server.stop_signal,
        guarded=False,
    )


def _migrations() -> Program:
    return Program("migrations", python(*commands.migrate().arguments), once=True)


def _program(name: str, command: Command, *, ready: Ready = at_once, wave: Wave = Wave.FRONT) -> Program:
    return Program(name, python(*command.arguments), environment=command.environment, ready=ready, wave=wave)


def _scraped(name: str, command: Command, addresses: Addresses, *, wave: Wave = Wave.FRONT) -> Program:
    port = str(_port(addresses.metrics[name].removesuffix("/metrics")))
    environment = {**command.environment, "VIVIDEO_METRICS_PORT": port}
    return _program(name, Command(command.arguments, environment), wave=wave)


def _sandbox(state: State, port: int, options: tuple[str, ...]) -> Program:
    command = commands.sandbox(LOOPBACK, port, state.directory / "sandbox", *options)
    any_answer = answers(f"http://{LOOPBACK}:{port}/", *range(200, 600))
    return _program("sandbox", command, ready=any_answer, wave=Wave.BACKEND)


def _api(servers: Servers, address: str) -> Program:
    command = commands.api(servers.api_host, _port(address))
    return _program("api", command, ready=answers(f"{address}/readyz", 200))


def _workers(capacity: Capacity, addresses: Addresses) -> list[Program]:
    places = {"stream": capacity.stream_concurrency, "io": capacity.io_concurrency, "media": capacity.media_concurrency}
    return [
        _scraped(f"worker-{kind}", commands.worker(kind, concurrency), addresses, wave=Wave.WORKERS)
        for kind, concurrency in places.items()
    ]


def _flower(address: str, password: str) -> Program:
    command = commands.flower(LOOPBACK, _port(address), user=FLOWER_USER, password=password)
    return _program("flower", command, ready=answers(f"{address}/healthcheck", 200, 401))


def _port(address: str) -> int:
    return int(address.rpartition(":")[2])
