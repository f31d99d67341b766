"""A catalog tried out: what would be understood of a file, without keeping anything."""

import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from worker.catalogs import counts, requests
from worker.catalogs.feeds import Problem, Product, open_feed
from worker.catalogs.requests import NoRequest, Recipe

FIRST = 5
"""Products shown."""
PROBLEMS = 20
"""Problems shown."""
SECONDS = 20.0
"""After which the counts are of what was read until then."""


@dataclass
class Rehearsal:
    """How a file was understood. Not `complete`: time was up, the counts are of the beginning."""

    format: str
    encoding: str | None
    delimiter: str | None
    columns: list[str]
    counted: Counter[str] = field(default_factory=Counter[str])
    products: list[Product] = field(default_factory=list[Product])
    problems: list[Problem] = field(default_factory=list[Problem])
    prompt: str | None = None
    """The first product's; None where there is no template, or no product fits it."""
    complete: bool = True

    @property
    def renders(self) -> int:
        """Products that would be rendered, if none of them was before."""
        return self.counted[counts.RENDERED]


def rehearse(path: Path, recipe: Recipe | None, *, seconds: float = SECONDS) -> Rehearsal:
    """Read a file as a reading would. Raises NotAFeed."""
    reading = open_feed(path)
    seen = Rehearsal(reading.format, reading.encoding, reading.delimiter, list(reading.columns or ()))
    until = time.monotonic() + seconds
    for item in reading.items():
        if isinstance(item, Problem):
            _note(seen, item)
        else:
            _take(seen, item, recipe)
        if time.monotonic() > until:
            seen.complete = False
            break
    return seen


def _note(seen: Rehearsal, problem: Problem) -> None:
    seen.counted[counts.PROBLEMS] += 1
    seen.counted[counts.REJECTED] += problem.fatal
    if len(seen.problems) < PROBLEMS:
        seen.problems.append(problem)


def _take(seen: Rehearsal, product: Product, recipe: Recipe | None) -> None:
    seen.counted[counts.PRODUCTS] += 1
    if len(seen.products) < FIRST:
        seen.products.append(product)
    if recipe is None:
        return
    if not recipe.wants(product):
        seen.counted[counts.LEFT_OUT] += 1
        return
    try:
        made, remarks = requests.request(product, recipe)
    except NoRequest as error:
        _note(seen, error.problem)
        return
    for one in remarks:
        _note(seen, one)
    seen.counted[counts.RENDERED] += 1
    seen.prompt = seen.prompt or made.request.prompt
