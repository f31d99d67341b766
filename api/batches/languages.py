"""The languages of a batch's prompts.

Words that tell decide for each prompt by itself, which takes microseconds. Where they do not, statistics would take
milliseconds a row: they are asked for the first few such prompts, whose commonest answer the others get. The rows of a
file are mostly product names in one language.
"""

from collections import Counter

from worker.remote import language

ASKED = 200
"""Half a second of statistics in a batch."""


class Languages:
    """Remembers what a batch's prompts were in."""

    def __init__(self) -> None:
        self._found: Counter[str] = Counter()

    def of(self, prompt: str) -> str:
        """ISO 639-1."""
        return language.detect(prompt, statistics=self._statistics)

    def _statistics(self, words: str, default: str) -> str:
        if self._found.total() >= ASKED:
            return self._found.most_common(1)[0][0]
        found = language.by_statistics(words, default)
        self._found[found] += 1
        return found
