"""The benchmarks of the intake, small: they run, and what they count as wrong is counted."""

import subprocess
import sys

from tests.api.service import FIRST_KEY, Service
from tests.bench.figures import ROOT, percentile
from tests.bench.load import Asking, Wanted

COMPLETE = (
    "posts answered 202",
    "renders kept, each its own",
    "keys sent again that led to the same render",
    "other calls not answered 200",
    "jsonl: rows that became renders",
    "jsonl: lines of the manifest",
    "csv: rows that became renders",
    "csv: lines of the manifest",
    "uploads with ids of their own, all complete",
    "stored files equal to those sent",
    "part-files left",
    "files on disk after an upload that was cut",
    "waiters told the end of their own render",
    "messages answered 200",
    "renders made",
)
"""What is judged whatever the machine's speed."""


def test_a_quick_run_finds_everything_complete():
    """Posts with and without a broker, batches, uploads, one cut, waiters, webhooks: nothing lost, nothing mixed up."""
    words = [sys.executable, "-m", "tests.bench", "--quick", "intake", "batches", "uploads", "waiters", "triggers"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for judged in COMPLETE:
        lines = [line for line in done.stdout.splitlines() if line.startswith(judged)]
        assert lines, f"{judged}: not looked at"
        assert all(line.endswith(": met)") for line in lines), lines


def test_the_generator_counts_refusals_and_takes_none_for_a_render(service: Service):
    """With a key that nobody has, every post is seen as a 401, and no id is."""
    wanted = Wanted("post", service.port, f"{FIRST_KEY}-not", connections=3, seconds=60, mark="refused", most=9)
    seen = Asking(wanted).seen()
    assert seen.statuses == {"401": 9}
    assert seen.ids == []


def test_the_generator_asks_each_once_and_notes_whose_answer_came(service: Service):
    """Reads in turn are answered with the very renders asked for."""
    post = Wanted("post", service.port, FIRST_KEY, connections=2, seconds=60, mark="generator", most=4)
    made = Asking(post).seen()
    read = Wanted("read", service.port, FIRST_KEY, connections=1, seconds=60, ids=made.ids, most=4)
    assert Asking(read).seen().ids == made.ids
    assert Asking(read).seen().statuses == {"200": 4}


def test_percentiles_of_few_values():
    """The share that is not exceeded, at both ends; no value at all is 0."""
    assert [percentile([3.0, 1.0, 2.0, 4.0], share) for share in (0.0, 0.5, 0.99, 1.0)] == [1.0, 3.0, 4.0, 4.0]
    assert percentile([], 0.5) == 0.0
