"""Faults to plant in a worker or dispatcher, one at a time, to see whether the invariants notice.

    python -m tests.chaos.planting FAULT -m celery -A worker.app worker …

A test build: the modules named here are changed as they are imported, in this process and its forks. The service's own
code knows nothing of it. Not before they are imported: a gevent worker has to be patched before psycopg comes.
"""

import importlib.abc
import importlib.machinery
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

Change = Callable[[ModuleType], None]


def _resend_blindly(generate: ModuleType) -> None:
    """A message whose end was not seen counts as unsent, and goes again at once."""

    def look_up(job: Any, intent: Any, *, cause: str, turn: Any = None) -> Any:
        settled = generate._settle(intent, generate.IntentState.UNSENT, cause=cause)
        return generate.Snooze(wait=generate.timedelta(0), also=(settled, generate._recharge(job)))

    generate._look_up = look_up


def _drop_the_fence(leases: ModuleType) -> None:
    """Writes name the render alone: whoever comes last wins."""
    run = leases._run

    def unfenced(session: Any, statement: str, parameters: Any) -> Any:
        fence = " AND lease = %(held_lease)s AND worker_id = %(held_worker)s"
        return run(session, statement.replace(fence, ""), parameters)

    leases._run = unfenced
    leases.lock = lambda _session, _held: None  # it looks at the number too, before anything is written


def _send_once(queue: ModuleType) -> None:
    """What was given to the broker is taken for delivered, for ever."""
    queue.not_on_its_way = lambda _redispatch: queue.Render.sent_at.is_(None)


def _trust_the_first_read(lookup: ModuleType) -> None:
    """The state is unchanged: then it will stay so."""
    lookup._nothing_more_can_come = lambda _job, _intent: True


def _keep_whatever_came(store: ModuleType) -> None:
    """A file is a file: neither its length nor its pictures are looked at."""
    from worker.media.poster import Poster
    from worker.media.probe import VideoFacts

    def poster(path: Path, folder: Path) -> Poster:
        picture = folder / "poster.jpg"
        picture.write_bytes(b"no picture")
        return Poster(picture, 1, 1)

    def probe(path: Path) -> VideoFacts:
        return VideoFacts(2.0, 1, 1, "h264", "yuv420p", 30.0, None, path.stat().st_size, "mp4")

    store.probe, store.poster = probe, poster


FAULTS: dict[str, tuple[str, Change]] = {
    "blind_resend": ("worker.stages.generate", _resend_blindly),
    "no_fence": ("worker.renders.leases", _drop_the_fence),
    "sent_once": ("worker.renders.queue", _send_once),
    "first_read": ("worker.stages.lookup", _trust_the_first_read),
    "no_probe": ("worker.stages.store", _keep_whatever_came),
}
"""Name → the module that is changed, and how."""


class _Loader(importlib.abc.Loader):
    """The module as it is, then changed."""

    def __init__(self, loader: importlib.abc.Loader, change: Change) -> None:
        self._loader = loader
        self._change = change

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        self._change(module)


class _Finder(importlib.abc.MetaPathFinder):
    """Finds one module, for everybody who imports it."""

    def __init__(self, name: str, change: Change) -> None:
        self._name = name
        self._change = change

    def find_spec(self, name: str, path: Any, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        if name != self._name:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        assert spec is not None, f"{name} is there"
        assert spec.loader is not None, f"{name} can be loaded"
        spec.loader = _Loader(spec.loader, self._change)
        return spec


def plant(fault: str) -> None:
    """Have this process make this fault."""
    name, change = FAULTS[fault]
    if name in sys.modules:
        raise RuntimeError(f"{name} was imported already: it would run as it is")
    sys.meta_path.insert(0, _Finder(name, change))


def main() -> None:
    """Plant, then run a module as `python -m` does."""
    fault, dash_m, module, *arguments = sys.argv[1:]
    if dash_m != "-m":
        raise SystemExit("python -m tests.chaos.planting FAULT -m MODULE [ARGUMENT…]")
    plant(fault)
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
