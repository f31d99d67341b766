"""What came of a run: in words or JSON, with files for what did not become a video, and an exit status."""

import csv
from pathlib import Path

from api.cli.reporting import Exit, say, show_json, words
from api.cli.running.bars import facts
from api.cli.running.following import patiently
from api.cli.running.state import State
from api.cli.running.videos import Videos
from api.client import Batch, Client

FAILED = "failed.csv"
REJECTED = "rejected.csv"
_COLUMNS = ("ref", "id", "position", "status", "credits", "error")
_NOT_MADE = ("failed", "expired", "canceled")

PAUSES = {
    "asked": "somebody paused it",
    "max_credits": "it may spend no more credits",
    "max_failure_rate": "too many of its renders failed",
}


def report(client: Client, batch: Batch, videos: Videos, state: State, directory: Path, *, as_json: bool) -> Exit:
    """Say what is here and what is not. FAILED where a row that ended, or was rejected, is no video here."""
    files = _leave(client, batch, state, directory)
    bad = bool(files or videos.missing or batch.status == "paused")
    if as_json:
        show_json(
            {
                "batch": batch.to_dict(),
                "directory": str(directory),
                "fetched": videos.fetched,
                "there_before": videos.there,
                "not_fetched": videos.missing,
                "files": [str(one) for one in files],
            }
        )
    else:
        counted = ", ".join(f"{count:,} {status}" for status, count in batch.counts.items() if count)
        words().print(f"{directory}  {counted or 'nothing'}; {facts(batch, videos)}", markup=False)
    for render_id, why in list(videos.missing.items())[:5]:
        say(f"the video of {render_id} could not be fetched: {why}")
    for path in files:
        say(f"not made, see {path}{_remedy(path, batch)}")
    if batch.status == "paused":
        _paused(batch)
    return Exit.FAILED if bad else Exit.DONE


def _remedy(path: Path, batch: Batch) -> str:
    if path.name == REJECTED:
        return ": mend it, and run it into a directory of its own"
    return f"\n  → begin the failed ones anew:  vivideo batch retry {batch.id}, then the same command"


def _paused(batch: Batch) -> None:
    pause = batch.pause
    why = PAUSES.get(pause.reason, pause.reason) if pause else "it is paused"
    detail = f" ({pause.detail})" if pause and pause.detail else ""
    say(
        f"the batch is paused: {why}{detail}\n"
        f"  look at it:   vivideo batch get {batch.id}\n"
        f"  let it go on: vivideo batch resume {batch.id}, then the same command\n"
        f"  end it:       vivideo batch cancel {batch.id}"
    )


def _leave(client: Client, batch: Batch, state: State, directory: Path) -> list[Path]:
    """The files of what was not made, as of now: what an earlier run left is replaced or taken away."""
    left: list[Path] = []
    failed, rejected = directory / FAILED, directory / REJECTED
    if any(batch.counts.get(status) for status in _NOT_MADE):
        patiently(lambda: _write_failed(client, batch.id, failed))
        left.append(failed)
    elif FAILED in state.left:
        failed.unlink(missing_ok=True)
    # What a catalog leaves out is told by its reading: feeds always hold some.
    if batch.rejected and batch.source in ("csv", "jsonl"):
        patiently(lambda: client.save_batch_problems(batch.id, rejected))
        left.append(rejected)
    state.left = [one.name for one in left]
    return left


def _write_failed(client: Client, batch_id: str, path: Path) -> None:
    temporary = path.with_name(f".{FAILED}.part")
    try:
        with temporary.open("w", newline="", encoding="utf-8") as file:
            table = csv.writer(file)
            table.writerow(_COLUMNS)
            for line in client.batch_manifest(batch_id):
                if line.status in _NOT_MADE:
                    table.writerow(getattr(line, name) for name in _COLUMNS)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
