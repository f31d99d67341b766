"""Every crash point of the service, read from its code: each call that commits, sends, calls out or moves a file.

A point's name holds no line number, so that edits elsewhere do not rename it: `commit worker.stages.export._ask
transact 2` is the second `transact` in that function.
"""

import ast
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.points import rules
from tests.chaos.points.rules import ROOT

ROOMS = ("worker", "api")

LEFT_OUT = {
    "worker.database": "the choke point of commits itself",
    "api.database": "the intake's way to it",
    "worker.remote": "the client itself, whose every call is a point where it is made",
    "worker.catalogs.feeds.scratch": "SQLite's private temporary database: no commit, gone with its connection",
    "worker.doctor": "reads and explains, run by hand; its one object in the storage is a probe",
    "worker.migrations": "run once before the processes, on their own",
    "api.cli": "an operator's commands, run by hand and seen to end",
    "api.client": "the customer's side",
}
"""Modules and packages without points, each with the reason."""


@dataclass(frozen=True, order=True)
class Point:
    """A place to die, just before or just after."""

    kind: str
    """`commit`, `send`, `call` or `move`."""
    module: str
    place: str
    """The function, with the classes and functions around it; `<module>` outside of any."""
    callee: str
    ordinal: int
    """From 1, among the calls of this name in this function, in the order of the code."""

    def __str__(self) -> str:
        return f"{self.kind} {self.module}.{self.place} {self.callee} {self.ordinal}"


def points() -> list[Point]:
    """All of them, sorted."""
    return sorted(point for _, tree, module in modules() for point, _ in find(tree, module))


def modules() -> Iterator[tuple[Path, ast.Module, str]]:
    """The files that may hold points: path, tree, module name."""
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            if not left_out(module):
                yield path, ast.parse(path.read_text(), str(path)), module


def left_out(module: str) -> bool:
    """Whether a module has no points by rule. (What notices surprises writes, although it lives with the client.)"""
    if module == "worker.remote.surprises":
        return False
    return any(module == name or module.startswith(f"{name}.") for name in LEFT_OUT)


def find(tree: ast.Module, module: str) -> list[tuple[Point, ast.Call]]:
    """The points of one module with the calls they are."""
    imports = rules.imports_of(tree)
    counted: Counter[tuple[str, str]] = Counter()
    found: list[tuple[Point, ast.Call]] = []
    for place, call in _calls(tree, ()):
        kind = rules.kind_of(call, imports)
        if kind is not None:
            callee = call.func.attr if isinstance(call.func, ast.Attribute) else ast.unparse(call.func)
            counted[place, callee] += 1
            found.append((Point(kind, module, place, callee, counted[place, callee]), call))
    return found


def _calls(node: ast.AST, around: tuple[str, ...]) -> Iterator[tuple[str, ast.Call]]:
    """Calls in the order of the code, each with the names of the functions and classes around it."""
    for child in ast.iter_child_nodes(node):
        named = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        inside = (*around, child.name) if named else around
        if isinstance(child, ast.Call):
            yield ".".join(around) or "<module>", child
        yield from _calls(child, inside)


def loose(tree: ast.Module) -> list[str]:
    """Choke points that are handed on instead of called: their calls would be no points."""
    imports = rules.imports_of(tree)
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    choke = rules.COMMITS | rules.SENDS | rules.CALLS | rules.MOVES
    return [
        f"line {node.lineno}: {name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Name | ast.Attribute)
        and (name := rules.full_name(node, imports)) in choke
        and id(node) not in called
    ]
