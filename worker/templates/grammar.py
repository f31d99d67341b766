"""The part of Jinja that is a template's language: everything that is not named here is refused when it is made.

There are no calls, no attributes and no macros: nothing in a template can reach an object's insides, and so nothing
depends on guessing which of them are harmless.
"""

from collections.abc import Callable, Iterable, Iterator
from inspect import Signature
from unicodedata import normalize

from jinja2 import nodes

from worker.templates.errors import Invalid
from worker.templates.filters import ALLOWED, ARGUMENTS, TESTS
from worker.templates.limits import BLOCKS, DEPTH, LARGEST, NODES

LOOP = frozenset({"index", "index0", "revindex", "revindex0", "first", "last", "length"})
RESERVED = frozenset({"loop", "range", "self"})
"""Names that are the language's own."""

_PLAIN = frozenset(
    {
        nodes.Template,
        nodes.Output,
        nodes.TemplateData,
        nodes.If,
        nodes.CondExpr,
        nodes.And,
        nodes.Or,
        nodes.Not,
        nodes.Neg,
        nodes.Pos,
        nodes.Add,
        nodes.Sub,
        nodes.Mul,
        nodes.Div,
        nodes.FloorDiv,
        nodes.Mod,
        nodes.Concat,
        nodes.Compare,
        nodes.Operand,
        nodes.List,
        nodes.Keyword,
    }
)
"""What needs no look at the particular case."""

_WORDS: dict[type[nodes.Node], str] = {
    nodes.Macro: "macros",
    nodes.CallBlock: "`call`",
    nodes.FilterBlock: "`filter` blocks",
    nodes.AssignBlock: "`set` blocks (write {% set name = … %})",
    nodes.Include: "`include`",
    nodes.Import: "`import`",
    nodes.FromImport: "`import`",
    nodes.Extends: "`extends`",
    nodes.Block: "`block`",
    nodes.With: "`with`",
    nodes.Dict: "objects",
    nodes.Tuple: "tuples (write a list, [a, b])",
    nodes.Pow: "powers",
    nodes.NSRef: "namespaces",
}


def check(tree: nodes.Template) -> None:
    """Raises Invalid for the first thing that is not in the language."""
    for count, (node, depth, blocks) in enumerate(_walk(tree), 1):
        line = node.lineno or 1
        if count > NODES:
            raise Invalid(line, f"the template is too long: more than {NODES} words of the language")
        if depth > DEPTH or blocks > BLOCKS:
            raise Invalid(line, "too much is nested here")
        rule = _RULES.get(type(node))
        if rule is None and type(node) not in _PLAIN:
            words = _WORDS.get(type(node), f"`{type(node).__name__.lower()}`")
            raise Invalid(line, f"{words} cannot be used in a template")
        if rule is not None and (wrong := rule(node)):
            raise Invalid(line, wrong)


def size(node: nodes.Node) -> int:
    """How many words of the language it is."""
    return 1 + sum(map(size, node.iter_child_nodes()))


def _walk(tree: nodes.Node) -> Iterator[tuple[nodes.Node, int, int]]:
    """Each node with how deep it is, in nodes and in blocks; without recursion, as it may be far too deep."""
    left: list[tuple[nodes.Node, int, int]] = [(tree, 0, 0)]
    while left:
        node, depth, blocks = left.pop()
        yield node, depth, blocks
        inside = blocks + isinstance(node, nodes.If | nodes.For)
        for child in _children(node):
            # Each further `elif` stands beside the others, though the parser hangs it below the first.
            left.append((child, depth + 1, inside - (isinstance(node, nodes.If) and child in node.elif_)))


def _children(node: nodes.Node) -> Iterator[nodes.Node]:
    """What has to be looked at in it: the names in `loop.index` and `range(3)` are theirs, and seen with them."""
    match node:
        case nodes.Getattr():
            return iter(())
        case nodes.Call():
            return iter([*node.args, *node.kwargs])
        case _:
            return node.iter_child_nodes()


def _name(node: nodes.Name) -> str | None:
    if node.name.startswith("_"):
        return f"`{node.name}`: no name begins with an underscore"
    if (plain := normalize("NFKC", node.name)) != node.name:  # to Python they are one name, to Jinja two
        return f"`{node.name}` is another spelling of `{plain}`: write it so"
    if node.ctx == "store" and node.name in RESERVED:
        return f"`{node.name}` is a word of the language: call it otherwise"
    if node.name == "loop":
        return "`loop` is no value: write loop.index, loop.first, …"
    if node.name == "self":
        return "`self` is no value"
    if node.name == "range":
        return "`range` is no value: write range(3)"
    return None


def _const(node: nodes.Const) -> str | None:
    value: object = node.value
    if isinstance(value, str):
        return unprintable(value)
    if isinstance(value, int | float) and not -LARGEST <= value <= LARGEST:
        return f"a number is beyond {LARGEST:,}"
    return None


def unprintable(text: str) -> str | None:
    """What of it could not be stored, in words."""
    if "\0" in text:
        return "a NUL character cannot be in a text"
    return "half a surrogate pair is no character" if any("\ud800" <= one <= "\udfff" for one in text) else None


def _getattr(node: nodes.Getattr) -> str | None:
    owner = node.node
    if isinstance(owner, nodes.Name) and owner.name == "loop":
        return None if node.attr in LOOP else f"loop.{node.attr}: there are {_listed(LOOP)}"
    return f".{node.attr}: values have no attributes or methods; there are filters ({{{{ title|upper }}}})"


def _call(node: nodes.Call) -> str | None:
    if not (isinstance(node.node, nodes.Name) and node.node.name == "range"):
        return "nothing can be called but range(…)"
    if node.kwargs:
        return "range takes numbers without names: range(1, 4)"
    return _arguments("range", ARGUMENTS["range"], node)


def _getitem(node: nodes.Getitem) -> str | None:
    if isinstance(node.arg, nodes.Const) and not isinstance(node.arg.value, int):
        return f"[{node.arg.value!r}]: values have no fields; a list's items have numbers"
    return None


def _filter(node: nodes.Filter) -> str | None:
    if node.node is None or node.name not in ALLOWED:
        return f"there is no filter {node.name}: there are {_listed(ALLOWED)}"
    return _arguments(node.name, ARGUMENTS[node.name], node)


def _arguments(name: str, signature: Signature, node: nodes.Call | nodes.Filter) -> str | None:
    if node.dyn_args is not None or node.dyn_kwargs is not None:
        return f"{name}: arguments are written one by one"
    given = [None] * (len(node.args) + isinstance(node, nodes.Filter))  # a filter's value comes first
    names = [one.key for one in node.kwargs if isinstance(one, nodes.Keyword)]
    if len(set(names)) < len(names):
        return f"{name}: an argument is given twice"
    try:
        signature.bind(None, *given, **dict.fromkeys(names))
    except TypeError as problem:
        return f"{name}: {problem}"
    return None


def _test(node: nodes.Test) -> str | None:
    if node.name not in TESTS:
        return f"there is no test `is {node.name}`: there are {_listed(TESTS)}"
    if node.args or node.kwargs or node.dyn_args is not None or node.dyn_kwargs is not None:
        return f"`is {node.name}` takes no arguments"
    return None


def _for(node: nodes.For) -> str | None:
    if node.recursive:
        return "a loop cannot be recursive"
    return _target(node.target)


def _assign(node: nodes.Assign) -> str | None:
    return _target(node.target)


def _target(node: nodes.Node) -> str | None:
    return None if isinstance(node, nodes.Name) else "one value goes to one name"


def _slice(node: nodes.Slice) -> str | None:
    return "a slice has no step" if node.step is not None else None


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


_RULES: dict[type[nodes.Node], Callable[..., str | None]] = {
    nodes.Name: _name,
    nodes.Const: _const,
    nodes.Getattr: _getattr,
    nodes.Getitem: _getitem,
    nodes.Call: _call,
    nodes.Filter: _filter,
    nodes.Test: _test,
    nodes.For: _for,
    nodes.Assign: _assign,
    nodes.Slice: _slice,
}
"""What is wrong with a node of this kind, or None."""
