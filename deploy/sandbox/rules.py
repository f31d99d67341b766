"""Rules: which misbehaviour is due, where, for whom and how often."""

import json
import re
from dataclasses import asdict, dataclass, field
from typing import Any

from .behaviours import point_of
from .database import Database

DIRECTIVE = re.compile(r"\[\[\s*sandbox:\s*([^\]]*?)\s*\]\]", re.IGNORECASE)
WORDS = {"true": True, "false": False}


@dataclass
class Rule:
    """Do `do` at the point `on`, `times` times, for words that contain `match` and, if set, in one session only."""

    on: str
    do: str
    match: str = ""
    session: str = ""
    times: int = 1
    params: dict[str, Any] = field(default_factory=dict[str, Any])

    def number(self, name: str, default: float) -> float:
        """A numeric parameter."""
        return float(self.params.get(name, default))

    def flag(self, name: str, default: bool) -> bool:
        """A yes-or-no parameter."""
        return bool(self.params.get(name, default))

    def word(self, name: str, default: str) -> str:
        """A text parameter."""
        return str(self.params.get(name, default))


Taken = dict[str, Rule]  # what is due at one point of one call, by the behaviour's name


class Rules:
    """The rules that wait. They are kept in the database, so a killed sandbox goes on misbehaving."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting = {row["number"]: Rule(**json.loads(row["rule"])) for row in database.all("SELECT * FROM rules")}

    def add(self, wish: dict[str, Any], session: str = "") -> Rule:
        """Add a rule from its JSON form; keys other than on/do/match/times are parameters. Raises ValueError."""
        if not isinstance(wish.get("do"), str):
            raise ValueError("a rule needs a behaviour: do")
        params = {key: value for key, value in wish.items() if key not in ("on", "do", "match", "times", "session")}
        point = point_of(wish["do"], wish.get("on"))
        scope = session or str(wish.get("session", ""))
        rule = Rule(point, wish["do"], str(wish.get("match", "")), scope, int(wish.get("times", 1)), params)
        number = self._database.insert("rules", rule=json.dumps(asdict(rule)))
        self._waiting[number] = rule
        return rule

    def take(self, on: str, *, words: str = "", session: str = "") -> Taken:
        """What is due now: the oldest matching rule of each behaviour, each of them used up by one."""
        taken: Taken = {}
        for number, rule in list(self._waiting.items()):
            if rule.on != on or rule.do in taken:
                continue
            if rule.match not in words or rule.session not in ("", session):
                continue
            taken[rule.do] = rule
            self._use(number, rule)
        return taken

    def clear(self) -> None:
        """Forget every rule."""
        self._waiting.clear()
        self._database.run("DELETE FROM rules")

    def shown(self) -> list[dict[str, Any]]:
        """The rules that still wait."""
        return [asdict(rule) for rule in self._waiting.values()]

    def _use(self, number: int, rule: Rule) -> None:
        rule.times -= 1
        if rule.times > 0:
            self._database.run("UPDATE rules SET rule = ? WHERE number = ?", json.dumps(asdict(rule)), number)
        else:
            del self._waiting[number]
            self._database.run("DELETE FROM rules WHERE number = ?", number)


def directives(text: str) -> tuple[str, list[dict[str, Any]]]:
    """The text without its `[[sandbox: NAME k=v]]`, and these as rules' JSON forms."""
    wishes = [_wish(found) for found in DIRECTIVE.findall(text)]
    return " ".join(DIRECTIVE.sub(" ", text).split(" ")).strip() if wishes else text, wishes


def _wish(inside: str) -> dict[str, Any]:
    name, *pairs = inside.split()
    wish: dict[str, Any] = {"do": name}
    for pair in pairs:
        key, _, value = pair.partition("=")
        wish[key] = _value(value)
    return wish


def _value(text: str) -> Any:
    if text in WORDS:
        return WORDS[text]
    try:
        return float(text) if "." in text else int(text)
    except ValueError:
        return text
