"""The test build: the service's own code, with each enumerated call wrapped as it is imported.

A process becomes one by `environment(folder)`; nothing of this is in the service's code. In the folder named there

- `passed.SCENARIO` lists the points passed while `scenario` held that name, once a process;
- `armed`, while it is there, names one point and a side: the first process to come by dies there (`os._exit`), and the
  file becomes `dead.PID.PARENT`.

*Before*: the call was not made. *After*: it was made, and returned or raised; whoever made it does not know yet.
"""

import ast
import builtins
import os
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, TypeVar

from tests.chaos.points.enumeration import ROOMS, find, left_out
from tests.chaos.points.rules import ROOT

FOLDER = "VIVIDEO_POINTS"
STATUS = 137
"""As a shell shows a process ended by kill -9."""
_WRAPPER = "__vivideo_point__"

_LOOKS = (
    ".dispatch.",
    "worker.publishing.chores.hand_out in_passing",
    "worker.triggers.holding.go_on ",
    "worker.webhooks.chores.hand_out in_passing",
)

Result = TypeVar("Result")
_passed: set[tuple[str, str]] = set()
"""Scenario and place; a fork begins with its parent's, which passed nothing that it will not pass itself."""


def environment(folder: Path) -> dict[str, str]:
    """What makes a process one of the test build."""
    return {FOLDER: str(folder), "PYTHONPATH": f"{Path(__file__).parent / 'site'}:{ROOT}"}


def install() -> None:
    """Wrap from now on whatever is imported; at the start of a process, before anything of the service is."""
    setattr(builtins, _WRAPPER, _point)
    import sys

    sys.meta_path.insert(0, _Finder())


def _point(name: str, call: Callable[[], Result]) -> Result:
    _pass(f"before {name}")
    try:
        result = call()
    except Exception:  # whatever it raised, the call was made: that is the point "after" it
        _pass(f"after {name}")
        raise
    # A look of the dispatcher's that found nothing is no place to die: there is one every moment.
    if result or not any(look in name for look in _LOOKS):
        _pass(f"after {name}")
    return result


def _pass(where: str) -> None:
    folder = os.environ[FOLDER]
    scenario = _read(f"{folder}/scenario")
    if (scenario, where) not in _passed:
        _passed.add((scenario, where))
        with open(f"{folder}/passed.{scenario}", "a") as file:
            file.write(f"{where}\n")
    if _read(f"{folder}/armed") == where:
        _die(folder)


def _read(path: str) -> str:
    try:
        with open(path) as file:
            return file.read()
    except FileNotFoundError:
        return ""


def _die(folder: str) -> None:
    try:  # of several that come by at once, one dies
        os.rename(f"{folder}/armed", f"{folder}/dead.{os.getpid()}.{os.getppid()}")
    except FileNotFoundError:
        return
    os._exit(STATUS)


class _Finder(MetaPathFinder):
    """Loads the rooms' modules wrapped, all others as ever."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname.partition(".")[0] not in ROOMS or left_out(fullname):
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _Loader(spec.loader.name, spec.loader.path)
        return spec


class _Loader(SourceFileLoader):
    def get_code(self, fullname: str) -> CodeType | None:
        """Compiled anew each time: the cache holds the code without points."""
        path = self.get_filename(fullname)
        return compile(wrapped(self.get_source(fullname) or "", fullname), path, "exec", dont_inherit=True)


def wrapped(source: str, module: str) -> ast.Module:
    """The module's tree, each point `f(x)` made `wrapper("name", lambda: f(x))`."""
    tree = ast.parse(source)
    names = {id(call): str(point) for point, call in find(tree, module)}
    return ast.fix_missing_locations(_Wrap(names).visit(tree))


class _Wrap(ast.NodeTransformer):
    def __init__(self, names: dict[int, str]) -> None:
        self._names = names

    def visit_Call(self, node: ast.Call) -> Any:
        name = self._names.get(id(node))
        self.generic_visit(node)
        if name is None:
            return node
        inside = {type(one) for one in ast.walk(node)}
        assert not inside & {ast.Await, ast.Yield, ast.YieldFrom, ast.NamedExpr}, f"{name} cannot go into a lambda"
        nothing = ast.arguments(posonlyargs=[], args=[], kwonlyargs=[], kw_defaults=[], defaults=[])
        call = ast.Lambda(args=nothing, body=node)
        made = ast.Call(func=ast.Name(_WRAPPER, ast.Load()), args=[ast.Constant(name), call], keywords=[])
        return ast.copy_location(made, node)
