"""What a prompt asks for in words, as far as a video can be held to it.

Whatever could be said of the video's matter, or read in two ways, is not read at all: a check that nobody asked for
would cry wolf, and fail a paid video where its render says so. A missed check costs nobody anything.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import cast

from worker.media.quality.asked import Asked
from worker.media.quality.lengths import length
from worker.media.quality.shapes import shape
from worker.media.quality.silence import is_silent


def read(prompt: str) -> Asked:
    """The length, the shape and the silence that a prompt plainly asks for."""
    text = _laid_out(prompt)
    return Asked(length(text), shape(text), is_silent(text))


def read_filled(prompt: str, own: str, given: Iterable[object]) -> Asked:
    """The same of a template's prompt, filled with what was `given`, which is mostly about a product.

    A length or a shape counts where the template's `own` words say it, and what is left of the prompt without the
    given texts says it too: a template that chooses or computes by a text says other words without that text. A wish
    for silence counts anywhere: there the doubt goes the other way.
    """
    told, left = _read_own(own), _read_own(_without(prompt, given))
    return Asked(
        told.duration_seconds if told.duration_seconds == left.duration_seconds else None,
        told.aspect if told.aspect == left.aspect else None,
        is_silent(_laid_out(prompt)),
    )


_read_own = lru_cache(maxsize=256)(read)
"""A catalog's template says the same to most of its products."""


def _without(prompt: str, given: Iterable[object]) -> str:
    """The prompt with "…" for each text that was put in as it is."""
    for text in sorted(_texts(given), key=len, reverse=True):
        prompt = prompt.replace(text, "…")
    return prompt


def _texts(given: Iterable[object]) -> set[str]:
    """Also those in lists; without the white space around, which a prompt may have lost."""
    flat = [one for value in given for one in (cast("list[object]", value) if isinstance(value, list) else [value])]
    return {one.strip() for one in flat if isinstance(one, str) and one.strip()}


def _laid_out(prompt: str) -> str:
    """Small letters, white space as one, what is quoted left out, a line end before it."""
    text = _SPACE.sub(lambda run: "\n" if "\n" in run[0] else " ", prompt.casefold().translate(_SIGNS).strip())
    return "\n" + _QUOTED.sub('"', text)


_SIGNS = str.maketrans("：（）", ":()")
_SPACE = re.compile(r"\s+")  # as one, so that no pattern tries many ways of splitting a long run
_QUOTED = re.compile(r"\"[^\"\n]{1,300}\"|“[^”\n]{1,300}”|«[^»\n]{1,300}»|「[^」\n]{1,300}」|《[^》\n]{1,300}》")
"""What is to be seen or heard in the video, and no wish about it."""
