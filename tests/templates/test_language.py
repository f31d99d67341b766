"""The language: what it can say, what it refuses, and that no template costs more than its budget."""

import time
from collections.abc import Mapping
from contextlib import suppress
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.templates import budget as budgets
from worker.templates.budget import Budget
from worker.templates.errors import Invalid, NotFilled, TooMuch
from worker.templates.language import compiled
from worker.templates.limits import CHARACTERS, PROMPT_CHARACTERS, STEPS, VALUE_CHARACTERS

VALUES: dict[str, object] = {
    "title": "Red mug",
    "price": 9.5,
    "count": 3,
    "new": True,
    "features": ["light", "waterproof"],
    "nothing": None,
}


def filled(text: str, values: Mapping[str, object] = VALUES) -> str:
    """The prompt."""
    return compiled(text, values).fill(values)


@pytest.mark.parametrize(
    ("text", "prompt"),
    [
        ("{{ title }} {{ price }} {{ count }} {{ new }} {{ features }}", "Red mug 9.5 3 true light, waterproof"),
        ("a{{ nothing }}b{% if nothing %}c{% endif %}{% for x in nothing %}{{ x }}{% else %}d{% endfor %}", "abd"),
        ("{% if count > 2 and new %}many{% elif new %}new{% else %}old{% endif %}", "many"),
        ("{% for f in features %}{{ loop.index }}/{{ loop.length }} {{ f }}{{ ';' if not loop.last }}{% endfor %}",
         "1/2 light;2/2 waterproof"),
        ("{% for f in features if f != 'light' %}{{ f }}{% endfor %}", "waterproof"),
        ("{% for i in range(1, count + 1) %}{{ i }}{% endfor %}{{ range(5, 0, -2) }}", "1235, 3, 1"),
        ("{% set both = title ~ ' ' ~ price %}{{ both|upper }} {{ 'a' + title }}", "RED MUG 9.5 aRed mug"),
        ("{{ price * 2 }} {{ 7 // 2 }} {{ 7 % 4 }} {{ 7 / 2 }} {{ -count }}", "19 3 3 3.5 -3"),
        ("{{ features[0] }} {{ features[-1] }} {{ features[:1] }} {{ ['a', 1, true]|join('-') }}",
         "light waterproof light a-1-true"),
        ("{{ nothing|default('x') }} {{ '' or 'y' }} {{ title is defined }} {{ nothing is none }}", "x y true true"),
        ("{{ 'a b c d'|truncate(5) }} {{ 'ab'|truncate(length=5, end='...') }}", "a b… ab"),
        ("{{ 'aXbX'|replace('X', '--') }} {{ ' a '|trim }} {{ 'ab cd'|title }} {{ 'aB'|capitalize }}",
         "a--b-- a Ab Cd Ab"),
        ("{{ 2.345|round(1) }} {{ '12'|int + 1 }} {{ 'x'|int(7) }} {{ 9.9|int }} {{ features|length }}",
         "2.3 13 7 9 2"),
        ("{{ features|first }} {{ features|last }} {{ [1, 2]|last }} {{ title|lower|length }}",
         "light waterproof 2 7"),
        ("{{ 'mug' in title }} {{ 'light' in features }} {{ 1 < count < 4 }} {{ title == 'x' }}",
         "true true true false"),
        ("{# a remark #}{% raw %}{{ title }}{% endraw %}", "{{ title }}"),
        ("{% set title = 'mine' %}{{ title }}", "mine"),
    ],
)  # fmt: skip
def test_it_says_what_prompts_need(text: str, prompt: str):
    """Values, choices, loops, names, numbers, lists, filters."""
    assert filled(text) == prompt


def test_lines_of_statements_leave_no_lines():
    """A prompt looks as if its values had been typed; it begins and ends without white space."""
    text = "\nA video:\n{% for f in features %}\n  - {{ f }}\n{% endfor %}\n{% if new %}\n  New.\n{% endif %}\nEnd.\n\n"
    assert filled(text) == "A video:\n  - light\n  - waterproof\n  New.\nEnd."


@pytest.mark.parametrize(
    ("text", "prompt"),
    [
        ("{{ 0.1 + 0.2 }} {{ 1.1 * 3 }} {{ 19.99 * 100 }}", "0.3 3.3 1999"),
        ("{{ tiny }} {{ -tiny }}", "0.0000001 -0.0000001"),
        ("{{ 1 / 3 }} {{ 2 / 3 }}", "0.333333333333333 0.666666666666667"),
        ("{{ large }} {{ large - 0.5 }} {{ 0.5 - 0.5 }} {{ -0.0 }}", "1000000000000000 1000000000000000 0 0"),
        ("{{ [0.1 + 0.2, 2.50] }} {{ 2.50 ~ '' }} {{ (0.1 + 0.2)|length }}", "0.3, 2.5 2.5 3"),
    ],
)
def test_numbers_are_written_as_people_write_them(text: str, prompt: str):
    """To fifteen digits, as many as are exact; without the dust of binary fractions, an exponent or a lone sign."""
    assert filled(text, {"tiny": 1e-7, "large": 10**15}) == prompt


@given(st.decimals(-(10**9), 10**9, places=2, allow_nan=False))
def test_a_price_is_written_as_it_was_given(price: Decimal):
    """Whatever it is, but for zeros at its end."""
    written = filled("{{ x }}", {"x": float(price)})
    assert (Decimal(written), set(written) <= set("-.0123456789")) == (price, True)


VERBATIM = compiled("[{{ x }}][{{ x ~ x }}][{% for one in l %}{{ one }}|{% endfor %}]", ["x", "l"])


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=200))
def test_what_a_variable_holds_is_put_in_to_the_letter(value: str):
    """Whatever it looks like: nothing of it is evaluated, escaped, trimmed or changed."""
    assert VERBATIM.fill({"x": value, "l": [value, "b"]}) == f"[{value}][{value}{value}][{value}|b|]"


@pytest.mark.parametrize("value", ["{{ 7 * 7 }}", "{% for x in range(9) %}a{% endfor %}", "{# x #}", "<b>&amp;", "%s"])
def test_a_value_that_looks_like_a_template_is_a_text(value: str):
    """The same by every way that a value can take into the prompt."""
    text = "({{ x }})({{ x|trim }})({{ [x]|join }})({% set y = x %}{{ y }})({{ 'Q'|replace('Q', x) }})"
    assert filled(text, {"x": value}) == f"({value})" * 5


ESCAPES = [
    "{{ ''.__class__ }}",
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ x['__class__'] }}",
    "{{ x|attr('__class__') }}",
    "{{ x.__init__.__globals__ }}",
    "{{ x.upper() }}",
    "{{ x.format(x) }}",
    "{{ '{0.__class__}'.format(x) }}",
    "{{ '{0.__class__}'.format_map(x) }}",
    "{{ '%s'|format(x) }}",
    "{{ x|map('upper') }}",
    "{{ x|map(attribute='__class__')|join }}",
    "{{ x|groupby('__class__') }}",
    "{{ x|sort(attribute='a') }}",
    "{{ x|selectattr('__class__') }}",
    "{{ x|tojson }}",
    "{{ x|safe }}",
    "{{ x|pprint }}",
    "{{ x|xmlattr }}",
    "{{ range.__self__ }}",
    "{{ range }}",
    "{{ range(*[1]) }}",
    "{{ range(**x) }}",
    "{{ (range)(3)(4) }}",
    "{{ self }}",
    "{{ self._TemplateReference__context }}",
    "{{ self.x() }}",
    "{{ loop }}",
    "{{ caller() }}",
    "{{ varargs }}",
    "{{ lipsum() }}",
    "{{ lipsum.__globals__ }}",
    "{{ cycler('a').__init__ }}",
    "{{ joiner() }}",
    "{{ namespace(a=1).a }}",
    "{{ dict(a=1) }}",
    "{{ config }}",
    "{{ request }}",
    "{{ get_flashed_messages() }}",
    "{{ url_for }}",
    "{{ _ }}",
    "{{ __import__('os') }}",
    "{{ gettext('a') }}",
    "{{ x is filter('upper') }}",
    "{{ x is callable }}",
    "{{ x is sameas(x) }}",
    "{{ {'a': 1} }}",
    "{{ (1, 2) }}",
    "{{ 2 ** 3 }}",
    "{{ x[::2] }}",
    "{{ x['a':'b', 1] }}",
    "{% for i in x %}{{ loop.__class__ }}{% endfor %}",
    "{% for i in x %}{{ loop.cycle('a') }}{% endfor %}",
    "{% for i in x %}{{ loop.changed(i) }}{% endfor %}",
    "{% for i in x %}{{ loop['index'] }}{% endfor %}",
    "{% for i in x %}{% set l = loop %}{% endfor %}",
    "{% for i in x recursive %}{{ loop(x) }}{% endfor %}",
    "{% for a, b in x %}{% endfor %}",
    "{% for loop in x %}{% endfor %}",
    "{% set range = x %}",
    "{% set self = x %}",
    "{% set a, b = x %}",
    "{% set x.y = 1 %}",
    "{% set _a = 1 %}",
    "{% set a %}{{ x }}{% endset %}",
    "{% macro a() %}{% endmacro %}",
    "{% call x() %}{% endcall %}",
    "{% filter upper %}a{% endfilter %}",
    "{% include 'a' %}",
    "{% import 'a' as b %}",
    "{% from 'a' import b %}",
    "{% extends 'a' %}",
    "{% block a %}{% endblock %}",
    "{% with a = 1 %}{% endwith %}",
    "{% autoescape true %}{% endautoescape %}",
    "{% do x %}",
    "{% break %}",
    "{% debug %}",
    "{% trans %}a{% endtrans %}",
    "{{ x|upper(1, 2) }}",
    "{{ x|truncate(lenght=3) }}",
    "{{ x|truncate(**x) }}",
    "{{ x|nothing }}",
    "{{ x is nothing }}",
    "{{ unknown }}",
    "{% if unknown is defined %}{% endif %}",
    "{% for i in x %}{% endfor %}{{ i }}",
    "{% if x %}{% else %}{% set y = 1 %}{% endif %}{{ y }}",
    "{% set ﬁ = 2 %}{% set fi = 3 %}{{ ﬁ }}",
    "{% set ｘ = 2 %}{{ ｘ }}",
    "{% for ª in [1] %}{{ ª }}{% endfor %}",
    "{{ '\\x00' }}",
    "{{ '\\ud800' }}",
    "a\0b",
    "{{ '\\N{no such letter}' }}",
    "{{ 1e999 }}",
    "{{ 10000000000000000 }}",
    "{{ " + "9" * 5000 + " }}",
    "{{ x",
    "{% if x %}",
    "{% endif %}",
    "{{ }}",
]


@pytest.mark.parametrize("text", ESCAPES)
def test_what_is_not_in_the_language_makes_no_template(text: str):
    """Ways out of other sandboxes, and everything else of Jinja: refused before anything is carried out."""
    with pytest.raises(Invalid) as refused:
        compiled(text, ["x"])
    assert refused.value.line == 1
    assert refused.value.reason


NESTED = [
    "{{ " + "(" * 3900 + "x" + ")" * 3900 + " }}",
    "{{ " + "not " * 1900 + "x }}",
    "{{ " + "-" * 7900 + "1 }}",
    "{{ 1" + "+1" * 3900 + " }}",
    "{{ x" + "[0]" * 2600 + " }}",
    "{{ x" + "|trim" * 1500 + " }}",
    "{{ " + "[" * 3000 + "]" * 3000 + " }}",
    "{{ x" + " if x else x" * 600 + " }}",
    "{% if x %}" * 400 + "{% endif %}" * 300,
    "{% for i in x %}" * 200 + "{% endfor %}" * 200,
    "{% for i in x %}" * 9 + "{% endfor %}" * 9,
    "{{ x }}" * 1100,
    "{{ 1" + "~1" * 3900 + " }}",
    "{" * 8000,
    "{{" * 4000,
    "{%" * 4000,
    "{#" * 4000,
    "x" * (PROMPT_CHARACTERS + 1),
]


@pytest.mark.parametrize("text", NESTED, ids=lambda text: text[:20])
def test_what_is_too_deep_or_too_long_makes_no_template(text: str):
    """A sentence, where Python would run out of stack or of patience."""
    with pytest.raises(Invalid):
        compiled(text, ["x"])


BOMBS = {
    "nested loops": "{% for a in range(90) %}{% for b in range(90) %}{% for c in range(90) %}x{% endfor %}" * 1
    + "{% endfor %}{% endfor %}",
    "a long range": "{% for a in range(1000000000) %}x{% endfor %}",
    "a range that is not written": "{{ range(10, 900000000000000) }}",
    "a long body": "{% for a in range(900) %}" + "y" * 7000 + "{% endfor %}",
    "empty turns": "{% for a in range(9000) %}{% endfor %}{% for a in range(9000) %}{% endfor %}",
    "doubling with ~": "{% set a = x %}" + "{% set a = a ~ a %}" * 60 + "{{ a }}",
    "doubling with +": "{% set a = x %}" + "{% set a = a + a %}" * 60 + "{{ a }}",
    "doubling by replace": "{% set a = x %}" + "{% set a = a|replace('X', 'XX') %}" * 60 + "{{ a }}",
    "doubling by join": "{% set a = x %}" + "{% set a = [a, a]|join %}" * 60 + "{{ a }}",
    "doubling by a separator": "{% set a = x %}" + "{% set a = [a, a, a]|join(a) %}" * 40 + "{{ a }}",
    "a list in a loop": "{% for a in range(900) %}{% for b in range(900) if b == a %}{{ b }}{% endfor %}{% endfor %}",
    "one text many times": "{% for a in range(2000) %}{% set y = big|upper %}{% endfor %}",
    "many comparisons": "{% for a in range(1000) %}{{ big == other }}{% endfor %}",
    "many searches": "{% for a in range(1000) %}{{ x in big }}{% endfor %}",
    "many lists": "{% for a in range(1000) %}{{ many|length }}{{ many|join }}{% endfor %}",
    "copies of a list": "{% for a in range(2000) %}{% set y = many[1:] %}{% endfor %}",
}
LARGE: dict[str, object] = {"x": "X", "big": "a" * 30_000, "other": "a" * 29_999 + "b", "many": ["w" * 100] * 200}


class Watched(Budget):
    """A budget that remembers the largest text it let through."""

    made: list["Watched"] = []  # noqa: RUF012 - the tests' own record
    __slots__ = ("largest",)

    def __init__(self) -> None:
        super().__init__()
        self.largest = 0
        self.made.append(self)

    def make(self, count: int) -> None:
        super().make(count)
        self.largest = max(self.largest, count)


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_uses_up_its_budget_and_no_more(name: str, monkeypatch: pytest.MonkeyPatch):
    """It ends with TooMuch, seen by counts and not by a clock: nothing was carried out or made beyond them."""
    monkeypatch.setattr("worker.templates.language.Budget", Watched)
    Watched.made.clear()
    template = compiled(BOMBS[name], LARGE)
    with pytest.raises(TooMuch):
        template.fill(LARGE)
    (spent,) = Watched.made
    assert spent.largest <= VALUE_CHARACTERS
    assert min(spent.steps, spent.characters) < 0 or name.startswith("doubling")
    assert spent.steps <= STEPS
    assert spent.characters <= CHARACTERS


@pytest.mark.parametrize(
    "text",
    [
        "{{ 'a' * 1000000000 }}",
        "{{ '%1000000000d' % 1 }}",
        "{{ [1] * 1000000000 }}",
        "{% set a = 10 %}" + "{% set a = a * a %}" * 60,
        "{{ 1000000000000000 * 1000000000000000 }}",
        "{{ [['a'], 'b'] }}",
        "{% for a in [many, many] %}{% endfor %}",
        "{{ x|replace('', 'long') }}",
        "{{ 1.5|round(300) }}",
        "{{ 1 / 0 }}",
        "{{ many + features }}",
        "{% for a in x %}{% endfor %}",
        "{{ many[200] }}",
        "{{ many[x] }}",
        "{{ 1 < x }}",
        "{{ -x }}",
        "{{ x % 2 }}",
        "{{ x|truncate(0) }}",
        "{{ range(1, 5, 0) }}",
    ],
)
def test_what_cannot_be_carried_out_is_a_sentence_with_its_line(text: str):
    """Whatever Python would make of it: a template's fault is no fault of the service."""
    with pytest.raises(NotFilled) as problem:
        filled("first\n" + text, {**LARGE, "features": ["a"]})
    assert problem.value.line == 2
    assert problem.value.reason


def test_a_budget_is_exact():
    """What fits goes through to the last character and step; one more does not."""
    spent = Budget()
    spent.step(STEPS)
    with pytest.raises(TooMuch):
        spent.step(1)
    spent = Budget()
    for _ in range(CHARACTERS // VALUE_CHARACTERS):
        spent.make(VALUE_CHARACTERS)
    spent.read(CHARACTERS % VALUE_CHARACTERS)
    with pytest.raises(TooMuch):
        spent.read(1)
    with pytest.raises(TooMuch):
        budgets.Budget().make(VALUE_CHARACTERS + 1)


@pytest.mark.parametrize(
    "text",
    [
        "{% if x %}a" + "{% elif x %}" * 480 + "{% endif %}",
        "{{ x" + "~x" * 900 + " }}",
        "{{ [" + "x," * 900 + "] }}",
        "{% for i in x %}{% set a = i %}{{ a }}{% endfor %}" * 80,
    ],
    ids=["elif", "joined", "list", "loops"],
)
def test_the_longest_template_is_made_in_no_time(text: str):
    """A tenth of a second of a core, on an idle one: the intake makes it in its own process for each dry run."""
    began = time.process_time()
    compiled(text, ["x"])
    assert time.process_time() - began < 1


def test_fillings_share_nothing():
    """A template filled again has its whole budget again, and nothing of the filling before."""
    template = compiled("{% for i in range(900) %}{% if x %}{{ x }}{% endif %}{% set y = i %}{% endfor %}", ["x"])
    assert {template.fill({"x": str(place)}) for place in range(5)} == {str(place) * 900 for place in range(5)}


def test_a_mistake_is_shown_where_it_is():
    """The line of the first unknown name, of a wrong word, of what is not closed."""
    for text, line in (("a\nb {{ x }}\n{{ y }}\n", 3), ("\n\n{% if x %}{{ x.y }}{% endif %}", 3), ("a\n{{ x|no }}", 2)):
        with pytest.raises(Invalid) as refused:
            compiled(text, ["x"])
        assert refused.value.line == line


TOKENS = ["{{", "}}", "{%", "%}", "x", "l", "for", "in", "if", "else", "endif", "endfor", "set", "=", "~", "+", "-",
          "*", "|", "join", "upper", "(", ")", "[", "]", ":", ",", "'a'", "1", "range", "loop.index", ".", " ", "not",
          "replace", "truncate", "is", "defined", "==", "<", "and", "{#", "#}"]  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(TOKENS), max_size=30).map(" ".join))
def test_no_text_is_anything_but_a_template_or_refused(text: str):
    """Random words of the language: filled, or refused by an error of ours."""
    with suppress(Invalid, NotFilled):
        assert isinstance(compiled(text, ["x", "l"]).fill({"x": "X", "l": ["a", 2]}), str)
