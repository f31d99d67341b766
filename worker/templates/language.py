"""A template's language: Jinja in its sandbox, cut down to what `grammar` allows, with every step counted.

A template is parsed, checked (`grammar`), rewritten (`counting`) and compiled once; then it is filled.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from traceback import walk_tb
from typing import Any

from jinja2 import StrictUndefined, Template, meta, nodes, pass_context
from jinja2.exceptions import TemplateSyntaxError, UndefinedError
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from worker.templates import filters
from worker.templates.budget import Budget
from worker.templates.counting import counted
from worker.templates.errors import Invalid, NotFilled
from worker.templates.grammar import check, size, unprintable
from worker.templates.limits import PROMPT_CHARACTERS
from worker.templates.values import written

_BUDGET = "%budget"
"""Where a filling's budget is among its values, by a name that no template can write."""


def _budget(context: Context) -> Budget:
    return context.parent[_BUDGET]


def _counted(step: filters.Step) -> Callable[..., Any]:
    """The step as a filter that knows its filling's budget. Those that take a context are never run ahead of it."""

    @pass_context
    def run(context: Context, *values: Any, **named: Any) -> Any:
        return step(_budget(context), *values, **named)

    return run


@pass_context
def _output(context: Context, value: object) -> str:
    return written(_budget(context), value)


class _Environment(ImmutableSandboxedEnvironment):
    """Nothing of Jinja's own filters, tests and globals is left."""

    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "%", "**"})

    def __init__(self) -> None:
        super().__init__(
            # A line that holds a statement alone leaves no empty line in the prompt.
            trim_blocks=True,
            lstrip_blocks=True,
            undefined=StrictUndefined,
            finalize=_output,
            autoescape=False,
            optimized=False,  # or constants would be computed while compiling, before there is a budget
            cache_size=0,
        )
        self.globals = {}
        self.filters = {name: _counted(step) for name, step in (filters.ALLOWED | filters.HIDDEN).items()}
        self.tests = dict(filters.TESTS)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        return filters.combined(_budget(context), operator, left, right)


_ENVIRONMENT = _Environment()


class Compiled:
    """A template that can be filled any number of times, in any thread."""

    def __init__(self, template: Template, steps: int) -> None:
        self._template, self._steps = template, steps

    def fill(self, values: Mapping[str, object]) -> str:
        """The text with these values in it, to the letter: what they hold is never read as a template.

        Raises NotFilled, TooMuch.
        """
        budget = Budget()
        try:
            budget.step(self._steps)
            context = self._template.new_context({**values, _BUDGET: budget})
            return "".join(_paid(budget, self._template.root_render_func(context))).strip()
        except NotFilled as problem:
            raise type(problem)(problem.reason, self._line(problem)) from None
        except UndefinedError as problem:
            raise NotFilled(problem.message or "a name has no value", self._line(problem)) from None
        except (TypeError, ValueError, ArithmeticError) as problem:
            raise NotFilled(f"values that do not go together ({problem})"[:300], self._line(problem)) from None

    def _line(self, problem: Exception) -> int | None:
        """The line of the template that was carried out then."""
        name = self._template.root_render_func.__code__.co_filename
        lines = [line for frame, line in walk_tb(problem.__traceback__) if frame.f_code.co_filename == name]
        return self._template.get_corresponding_lineno(lines[-1]) if lines else None


def _paid(budget: Budget, pieces: Iterator[str]) -> Iterator[str]:
    for piece in pieces:
        budget.read(len(piece))
        yield piece


def compiled(text: str, declared: Collection[str]) -> Compiled:
    """The template of this text, which uses these variables. Raises Invalid."""
    return _Source(text).compiled(declared)


def used(text: str) -> set[str]:
    """The names whose values it needs from outside. Raises Invalid."""
    return _Source(text).used


class _Source:
    """A text in the language, checked and rewritten."""

    def __init__(self, text: str) -> None:
        tree = _parsed(text)
        check(tree)
        self._first = _first_lines(tree)
        self._tree = counted(tree)
        self.used = meta.find_undeclared_variables(self._tree)

    def compiled(self, declared: Collection[str]) -> Compiled:
        unknown = sorted(self.used - set(declared), key=lambda name: (self._first.get(name, 1), name))
        if unknown:
            raise Invalid(self._first.get(unknown[0], 1), _undeclared(unknown[0]))
        return Compiled(_ENVIRONMENT.from_string(self._tree), size(self._tree))


def _undeclared(name: str) -> str:
    return "`loop` is known in a loop alone" if name == "loop" else f"`{name}` is not among the variables"


def _parsed(text: str) -> nodes.Template:
    if len(text) > PROMPT_CHARACTERS:
        raise Invalid(1, f"the text has {len(text):,} characters: at most {PROMPT_CHARACTERS:,}")
    if wrong := unprintable(text):
        raise Invalid(1, wrong)
    try:
        return _ENVIRONMENT.parse(text)
    except TemplateSyntaxError as problem:
        raise Invalid(problem.lineno, problem.message or "this is not in the language") from None
    except RecursionError:
        raise Invalid(1, "too much is nested") from None
    except ValueError as problem:  # a number of thousands of digits, an escape that is none
        raise Invalid(1, f"a number or a text cannot be read ({problem})"[:300]) from None


def _first_lines(tree: nodes.Template) -> dict[str, int]:
    """Where each name is first read."""
    found: dict[str, int] = {}
    for name in tree.find_all(nodes.Name):
        found[name.name] = min(found.get(name.name, name.lineno), name.lineno)
    return found
