"""What a prompt asks for in words, as far as a video can be held to it.

Whatever could be said of the video's matter, or read in two ways, is not read at all: a check that nobody asked for
would cry wolf, and fail a paid video where its render says so. A missed check costs nobody anything.
"""

import re
from dataclasses import replace
from functools import lru_cache

from worker.media.quality.asked import Asked
from worker.media.quality.lengths import length
from worker.media.quality.shapes import shape
from worker.media.quality.silence import is_silent


def read(prompt: str) -> Asked:
    """The length, the shape and the silence that a prompt plainly asks for."""
    text = _laid_out(prompt)
    return Asked(length(text), shape(text), is_silent(text))


def read_filled(prompt: str, own: str) -> Asked:
    """The same of a template's prompt: a length or a shape counts in the template's `own` words alone, since what was
    put in is mostly about a product. A wish for silence counts anywhere: there the doubt goes the other way."""
    return replace(_read_own(own), silent=is_silent(_laid_out(prompt)))


_read_own = lru_cache(maxsize=256)(read)
"""A catalog's template says the same to most of its products."""


def _laid_out(prompt: str) -> str:
    """Small letters, white space as one, what is quoted left out, a line end before it."""
    text = _SPACE.sub(lambda run: "\n" if "\n" in run[0] else " ", prompt.casefold().translate(_SIGNS).strip())
    return "\n" + _QUOTED.sub('"', text)


_SIGNS = str.maketrans("：（）", ":()")
_SPACE = re.compile(r"\s+")  # as one, so that no pattern tries many ways of splitting a long run
_QUOTED = re.compile(r"\"[^\"\n]{1,300}\"|“[^”\n]{1,300}”|«[^»\n]{1,300}»|「[^」\n]{1,300}」|《[^》\n]{1,300}》")
"""What is to be seen or heard in the video, and no wish about it."""
