"""What makes a call a crash point: choke-point functions, told by where they were imported from or by their receiver.

The rules look at the code as it is written: a choke point may only be called, never handed on under another name
(`loose` in `enumeration.py` finds those).
"""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]

COMMITS = frozenset(
    {
        "worker.database.transact",
        "worker.database.at_once",
        "worker.database.in_passing",
        "api.database.transact",
        "api.database.look",
    }
)
SENDING = frozenset({"send_task", "apply_async", "delay"})
"""Celery's own ways, whatever they are called on."""
CALLS = frozenset({"worker.media.download.download"})
"""Remote calls that are not the client's: the result's address is anybody's server."""
MOVES = frozenset({"os.replace", "os.rename", "os.link", "shutil.move", "shutil.copyfile"})
STORING = frozenset({"put_file", "put_bytes", "open_to_file"})
"""The storage's methods; the names are nobody else's."""
RAW = frozenset({"connection", "listening"})
"""Connections without SQLAlchemy: autocommit, so that each `execute` is a commit."""


def remote_calls() -> frozenset[str]:
    """The client's calls: its public methods, read from its code. Making and closing one asks nobody."""
    tree = ast.parse((ROOT / "worker/remote/client.py").read_text())
    (remote,) = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Remote"]
    names = {node.name for node in remote.body if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")}
    return frozenset(names - {"from_settings", "close"})


REMOTE = remote_calls()


def sends() -> frozenset[str]:
    """The ways to wake somebody: the app's functions that give the broker a message, read from their code."""
    tree = ast.parse((ROOT / "worker/app.py").read_text())
    return frozenset(
        f"worker.app.{node.name}"
        for node in tree.body
        if isinstance(node, ast.FunctionDef)
        and any(isinstance(one, ast.Call) and getattr(one.func, "id", "") == "_send" for one in ast.walk(node))
    )


SENDS = sends()


def kind_of(call: ast.Call, imports: dict[str, str]) -> str | None:
    """`commit`, `send`, `call` or `move`; None for any other call."""
    name = full_name(call.func, imports)
    for kind, names in (("commit", COMMITS), ("send", SENDS), ("call", CALLS), ("move", MOVES)):
        if name in names:
            return kind
    return _by_receiver(call, call.func) if isinstance(call.func, ast.Attribute) else None


def _by_receiver(call: ast.Call, method: ast.Attribute) -> str | None:
    receiver = _last_word(method.value)
    if method.attr in SENDING:
        return "send"
    if method.attr in REMOTE and receiver == "remote":
        return "call"
    if method.attr == "execute" and receiver in RAW:
        return "commit"
    if method.attr in STORING or (method.attr == "delete" and receiver == "storage"):
        return "move"
    # A path's; a text's takes two arguments, a time's or a row's takes names.
    if method.attr in {"replace", "rename"} and len(call.args) == 1 and not call.keywords:
        return "move"
    return None


def full_name(node: ast.expr, imports: dict[str, str]) -> str | None:
    """`app.send` → `worker.app.send`, by the module's imports; None where that cannot be told."""
    if isinstance(node, ast.Name):
        return imports.get(node.id)
    if isinstance(node, ast.Attribute) and (owner := full_name(node.value, imports)):
        return f"{owner}.{node.attr}"
    return None


def _last_word(node: ast.expr) -> str:
    """The receiver's own name: `job.remote` → `remote`, `storage()` → `storage`."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case ast.Call(func=function):
            return _last_word(function)
        case _:
            return ""


def imports_of(tree: ast.Module) -> dict[str, str]:
    """Local name → full name, wherever in the module it is imported."""
    found: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                first = alias.name.partition(".")[0]
                found[alias.asname or first] = alias.name if alias.asname else first
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return found
