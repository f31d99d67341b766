"""A stack whose processes are scraped, and what a scrape says."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.stack import Stack, free_port, here
from worker.renders.states import Stage

WORKERS = ("stream", "io", "media")


class Scrape:
    """What a process said at one moment."""

    def __init__(self, *texts: str) -> None:
        self.text = "".join(texts)
        self._samples = [
            sample for text in texts for family in text_string_to_metric_families(text) for sample in family.samples
        ]

    def by(self, name: str, *labels: str) -> Counter[Any]:
        """The values of a series added up by these labels: a text for one label, a tuple for several."""
        found: Counter[Any] = Counter()
        for sample in self._samples:
            if sample.name == name and sample.value:
                key = tuple(sample.labels[label] for label in labels)
                found[key if len(labels) != 1 else key[0]] += sample.value
        return found

    def sum(self, name: str, **labels: str) -> float:
        """The sum of a series' values where these labels are so."""
        return sum(one.value for one in self._samples if one.name == name and labels.items() <= one.labels.items())

    def zeros(self, name: str, *labels: str) -> set[Any]:
        """The labels, as in `by`, of the series that are there and 0."""
        found = {
            tuple(one.labels[label] for label in labels) for one in self._samples if one.name == name and not one.value
        }
        return {key if len(labels) != 1 else key[0] for key in found}

    def has(self, name: str) -> bool:
        """Whether there is such a series at all."""
        return any(sample.name == name for sample in self._samples)


def begins_at_0(scrape: Scrape) -> None:
    """What alerts and sums ask for is there before it happens for the first time."""
    outcomes = {"unsent", "refused", "received", "unknown", "applied", "not_applied", "unconfirmed"}
    assert scrape.zeros("vivideo_intents_total", "outcome") == outcomes
    why = {"worker silent for a lease", "worker stopped", "worker process ended", "worker lost track of it"}
    assert scrape.zeros("vivideo_takeovers_total", "why") == why
    for name in ("vivideo_leases_lost_total", "vivideo_sent_again_total"):
        assert scrape.zeros(name, "stage") == {stage.value for stage in Stage}
    assert scrape.zeros("vivideo_renders_accepted_total", "how") == {"new", "retry"}


class Watched(Stack):
    """A stack that gives each process a port to be scraped at."""

    def start(self, name: str, *arguments: str, **environment: str) -> Any:
        """As before."""
        self.ports: dict[str, int] = getattr(self, "ports", {})
        self.ports[name] = free_port()
        return super().start(name, *arguments, **{"VIVIDEO_METRICS_PORT": str(self.ports[name]), **environment})

    def scrape(self, *names: str) -> Scrape:
        """What these processes say now, together."""
        return Scrape(*(httpx.get(f"http://127.0.0.1:{self.ports[name]}/metrics", timeout=10).text for name in names))

    def answers(self, name: str) -> bool:
        """Whether a process can be scraped; not a stranger at its port."""
        assert "metrics.unserved" not in (self.home / f"{name}.log").read_text()
        try:
            return self.scrape(name).has("vivideo_build_info")
        except httpx.HTTPError:
            return False


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, database: str, broker_url: str) -> Iterator[Watched]:
    """Everything a render needs, each process with a port."""
    with Watched(tmp_path_factory.mktemp("stack"), database, broker_url) as running, here(running.environment):
        running.start_all()
        yield running
