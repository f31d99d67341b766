"""Rewrites a template so that it pays for what it does.

The sandbox guards attributes but counts neither turns nor characters: what loops, joins or reads becomes a filter of
ours, by a name that no template can write, which pays for it first.
"""

from typing import cast

from jinja2 import Environment, nodes
from jinja2.visitor import NodeTransformer

from worker.templates.grammar import size


def counted(tree: nodes.Template) -> nodes.Template:
    """The tree, which passed `grammar.check`, with its prices in it. It is the same tree, changed."""
    return cast(nodes.Template, _Counting().visit(tree))


class _Counting(NodeTransformer):
    """Jinja's visitor finds the methods by these names. How deep the tree is was checked before."""

    def visit_For(self, node: nodes.For) -> nodes.Node:
        price = 1 + sum(map(size, node.body)) + (size(node.test) if node.test else 0)
        self.generic_visit(node)
        node.iter = _step("%each", cast(nodes.Expr, node.iter), nodes.Const(price))
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        self.generic_visit(node)
        return _step("%concat", *node.nodes)

    def visit_List(self, node: nodes.List) -> nodes.Node:
        self.generic_visit(node)
        return _step("%items", node)

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:
        self.generic_visit(node)
        if isinstance(node.arg, nodes.Slice):
            ends = (one or nodes.Const(None) for one in (node.arg.start, node.arg.stop))
            return _step("%part", node.node, *ends)
        return _step("%item", node.node, node.arg)

    def visit_Call(self, node: nodes.Call) -> nodes.Node:
        """Of `range`: there are no others."""
        self.generic_visit(node)
        return _step("%range", *node.args)

    def visit_CondExpr(self, node: nodes.CondExpr) -> nodes.Node:
        """Without its `else` it is nothing, where Jinja would have an undefined value."""
        self.generic_visit(node)
        node.expr2 = node.expr2 or nodes.Const(None)
        return node

    def visit_Compare(self, node: nodes.Compare) -> nodes.Node:
        self.generic_visit(node)
        node.expr = _step("%read", node.expr)
        for operand in node.ops:
            operand.expr = _step("%read", operand.expr)
        return node


def _step(name: str, value: nodes.Expr, *more: nodes.Expr) -> nodes.Filter:
    made = nodes.Filter(value, name, list(more), [], None, None)
    made.set_lineno(value.lineno or 1)
    made.set_environment(cast(Environment, value.environment))
    return made
