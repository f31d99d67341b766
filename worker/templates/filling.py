"""From a version and variables to a prompt: compiled once, filled many times."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from worker.templates.errors import NotFilled
from worker.templates.language import Compiled, compiled
from worker.templates.limits import PROMPT_CHARACTERS
from worker.templates.models import TemplateVersion
from worker.templates.variables import Declared, bound, declared

KEPT = 500
"""Compiled versions in a process: some ten kilobytes each."""


@dataclass(frozen=True)
class Filler:
    """A template with its declarations."""

    template: Compiled
    variables: Declared

    @classmethod
    def of(cls, prompt: str, variables: Declared) -> "Filler":
        """Raises Invalid."""
        return cls(compiled(prompt, variables), variables)

    def fill(self, given: Mapping[str, object], *, strict: bool = True) -> str:
        """The prompt: 1 to 8,000 characters, without white space at its ends. `strict` is that of `variables.bound`.

        Raises:
            WrongVariables: one is missing, unknown, or not as declared.
            NotFilled: they are as declared, and no prompt comes out.
        """
        prompt = self.template.fill(bound(self.variables, given, strict=strict))
        if not prompt:
            raise NotFilled("the prompt is empty with these variables")
        if len(prompt) > PROMPT_CHARACTERS:
            raise NotFilled(
                f"the prompt has {len(prompt):,} characters with these variables: at most {PROMPT_CHARACTERS:,}"
            )
        return prompt

    def own_words(self, given: Mapping[str, object], *, strict: bool = True) -> str:
        """What of the prompt the template says itself: texts that were given are "…", numbers and defaults stay.

        A product's "10-minute delivery" is no wish about the video, a template's "{{ seconds }}-second video" is one.
        "" where no prompt comes out without those texts. Raises WrongVariables.
        """
        values = bound(self.variables, given, strict=strict)
        try:
            return self.template.fill(
                {name: _hidden(one) if given.get(name) is not None else one for name, one in values.items()}
            )
        except NotFilled:
            return ""


def _hidden(value: object) -> object:
    if isinstance(value, list):
        return [_hidden(one) for one in cast("list[object]", value)]
    return "…" if isinstance(value, str) and value else value


def filler(version: TemplateVersion) -> Filler:
    """The version's, compiled by the first who asks: a version never changes."""
    found = _known.get(version.id)
    if found is None:
        if len(_known) >= KEPT:
            _known.clear()
        _known[version.id] = found = Filler.of(version.prompt, declared(version.variables))
    return found


_known: dict[str, Filler] = {}
