"""What can be wrong with a template, or with what it is filled with.

TemplateError
├── Invalid         no template can be made of it: the line, and what is wrong there
├── WrongVariables  what was given is not what is declared: what is wrong, by name
└── NotFilled       with these values no prompt comes out
    └── TooMuch     one of the budgets of a filling is used up
"""

from collections.abc import Mapping


class TemplateError(Exception):
    """Base; its text is a sentence for a person."""


class Invalid(TemplateError):
    """The text is not in the language, or uses what is not declared."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(f"line {line}: {reason}")
        self.line, self.reason = line, reason


class WrongVariables(TemplateError):
    """`wrong` says what is wrong with each variable, in the order in which they are declared."""

    def __init__(self, wrong: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{name}: {reason}" for name, reason in wrong.items()))
        self.wrong = dict(wrong)


class NotFilled(TemplateError):
    """Each value is as declared, and yet they do not go with what the template does; `line` where that is known."""

    def __init__(self, reason: str, line: int | None = None) -> None:
        super().__init__(reason if line is None else f"line {line}: {reason}")
        self.reason, self.line = reason, line


class TooMuch(NotFilled):
    """It would take too many steps or make too much text."""
