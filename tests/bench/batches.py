"""100,000 items in one request, as JSON Lines and as CSV: seconds, rows a second, and the intake's memory meanwhile.

The rows are those of a shop: a prompt with the product's name, two pictures, a reference, a tag, metadata. Beside them
somebody else asks for a page of renders ten times a second.
"""

import csv
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.bench.figures import percentile
from tests.bench.ground import Ground
from tests.bench.meter import Watch, cpu_seconds
from tests.bench.report import Report
from tests.bench.uploads import Others

FULL, QUICK = 100_000, 1_500
MEMORY_MB = 100.0
"""What a file of any length may take: a few chunks of rows, and what Python keeps of them."""


@dataclass(frozen=True)
class Source:
    """A way to write the rows."""

    name: str
    media_type: str
    write: Callable[[Path, int], None]


def measure(report: Report, ground: Ground, pid: int) -> None:
    """Send both files, look at what came of them, and print the figures."""
    rows = QUICK if report.quick else FULL
    report.say(f"{rows:,} rows in one request, every hundredth of them not valid")
    table = [_sent(report, ground, pid, source, rows) for source in SOURCES]
    heads = (
        "source",
        "MB",
        "seconds",
        "rows/s",
        "CPU s",
        "MB before",
        "peak",
        "GET ms",
        "manifest s",
        "other calls p50",
        "max",
    )
    report.table(heads, table)


def _sent(report: Report, ground: Ground, pid: int, source: Source, rows: int) -> list[Any]:
    path = ground.home / f"rows.{source.name}"
    source.write(path, rows)
    headers = ground.headers | {"Content-Type": source.media_type, "Content-Length": str(path.stat().st_size)}
    with Watch(pid) as watch, Others(ground) as others, path.open("rb") as file:
        began, cpu = time.monotonic(), cpu_seconds(pid)
        answer = httpx.post(f"{ground.api}/v1/batches", content=file, headers=headers, timeout=600)
        took, cpu = time.monotonic() - began, cpu_seconds(pid) - cpu
    answer.raise_for_status()
    batch = answer.json()
    good = rows - rows // 100
    whole = (batch["total"], batch["rejected"], batch["counts"]["queued"]) == (good, rows // 100, good)
    report.aim(f"{source.name}: rows that became renders", batch["total"], whole, str(good))
    look = min(_timed(lambda: _get(ground, f"/v1/batches/{batch['id']}")) for _ in range(3)) * 1000
    manifest = _timed(lambda: _check_manifest(report, ground, source, batch["id"], good))
    grown = watch.peak.resident - watch.before.resident
    if not report.quick:
        report.aim(f"{source.name}: MB that the intake grew by", round(grown), grown < MEMORY_MB, f"< {MEMORY_MB:g}")
    times = [one * 1000 for one in others.took]
    size = path.stat().st_size / 1e6
    memory = (watch.before.resident, watch.peak.resident)
    return [source.name, size, took, rows / took, cpu, *memory, look, manifest, percentile(times, 0.5), max(times)]


def _timed(work: Callable[[], object]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began


def _get(ground: Ground, path: str) -> httpx.Response:
    return httpx.get(ground.api + path, headers=ground.headers, timeout=300).raise_for_status()


def _check_manifest(report: Report, ground: Ground, source: Source, batch_id: str, good: int) -> None:
    lines = _get(ground, f"/v1/batches/{batch_id}/manifest").text.splitlines()
    refs = {json.loads(line)["ref"] for line in lines}
    report.aim(f"{source.name}: lines of the manifest", len(lines), len(lines) == len(refs) == good, str(good))


def _rows(count: int) -> Iterator[dict[str, Any]]:
    for number in range(1, count + 1):
        good = number % 100
        yield {
            "prompt": f"a 15-second video about the trail shoe {number}, light and waterproof" if good else "",
            "assets": [f"https://shop.example/{number}/{view}.jpg" for view in ("front", "side")],
            "external_ref": f"sku-{number}",
            "tags": ["shoes"],
            "metadata": {"sku": str(number)},
        }


def _jsonl(path: Path, count: int) -> None:
    with path.open("w") as file:
        for row in _rows(count):
            file.write(json.dumps(row | {"assets": [{"url": one} for one in row["assets"]]}) + "\n")


def _csv(path: Path, count: int) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["prompt", "assets", "sku", "tags", "metadata.sku"])
        for row in _rows(count):
            assets, tags = " ".join(row["assets"]), ",".join(row["tags"])
            writer.writerow([row["prompt"], assets, row["external_ref"], tags, row["metadata"]["sku"]])


SOURCES = (Source("jsonl", "application/x-ndjson", _jsonl), Source("csv", "text/csv", _csv))
