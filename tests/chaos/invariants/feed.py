"""The feed misses nothing: a reader that kept its cursor was given every event, once and in order."""

from collections.abc import Iterator

from tests.chaos.books import Books, subject
from tests.chaos.invariants.violation import Violation


def feed(books: Books) -> Iterator[Violation]:
    """What each reader was given, page by page, during the run or after it, is the table from its cursor on."""
    table = [(subject(event), event["number"]) for event in books.events]
    for reading in books.given.readings:
        wanted = table[reading.before :]
        if reading.given == wanted:
            continue
        missed = set(wanted) - set(reading.given)
        twice = len(reading.given) - len(set(reading.given))
        facts = f"{len(missed)} missed, {len(set(reading.given) - set(wanted))} not in the table, {twice} twice"
        example = next(iter(sorted(missed)), ("-", 0))
        yield Violation("feed", example[0], f"from event {reading.before} on: {facts}, e.g. {example[1]}")
