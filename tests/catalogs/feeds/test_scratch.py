"""What is remembered of a whole file does not stay in memory."""

import tracemalloc

from worker.catalogs.feeds.scratch import Parts, Seen


def test_rows_far_apart_come_together():
    """By any key of their product, in the file's order; those of nobody first."""
    parts = Parts()
    parts.attach(1, "later", {"a": ["1"]})
    parts.attach(2, "never", {"a": ["2"]})
    for place in range(3, 2000):
        parts.begin(place, [f"p{place % 700}"], {"a": [str(place)]})
    parts.begin(2000, ["main", "later"], {"a": ["2000"]})
    found = [(owner, place) for owner, (place, _) in parts.products()]
    parts.close()
    assert found[0] == (None, 2)
    assert found[1:4] == [(3, 3), (3, 703), (3, 1403)]
    assert found[-2:] == [(2000, 1), (2000, 2000)]


def test_seen():
    """Once."""
    seen = Seen()
    assert [seen.add(key) for key in ("a", "b", "a", "A")] == [True, True, False, True]
    seen.close()


def test_memory_does_not_grow_with_rows():
    """Ten megabytes of rows leave less than three in Python's memory."""
    tracemalloc.start()
    parts = Parts()
    for place in range(10_000):
        parts.begin(place, [f"handle-{place}"], {"description": ["x" * 1000]})
    count = sum(1 for _ in parts.products())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    parts.close()
    assert (count, peak < 3_000_000) == (10_000, True)
