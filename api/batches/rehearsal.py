"""What a batch would come to, found out without keeping any of it."""

from typing import Any

from sqlalchemy.orm import Session

from api.auth import Caller
from api.batches import estimate
from api.batches.bodies import BatchDryRunBody, BatchPromptBody, BatchTotalBody
from api.batches.checking import Chunk
from api.batches.estimate import Left
from api.batches.intake import SAMPLE, Asked, empty
from api.batches.views import problem_body
from api.database import look
from worker.batches.store import NewProblem
from worker.remote.intents import ABOUT_A_CLIP
from worker.renders import uploads

PROMPTS = 5


def rehearse(caller: Caller, asked: Asked) -> BatchDryRunBody:
    """Check every row. Raises Problem `batch.empty`."""
    checker = asked.checker(caller)
    total = rejected = 0
    problems: list[NewProblem] = []
    prompts: list[BatchPromptBody] = []
    for chunk in checker.chunks(asked.rows):
        entries, wrong = look(
            lambda session, chunk=chunk: checker.sorted_out(session, chunk, _uploads(session, caller, chunk))
        )
        bad = {one.line for one in wrong}
        good = [row.line for row, _, _ in chunk.rows if row.line not in bad] if len(prompts) < PROMPTS else []
        for line, entry in list(zip(good, entries, strict=False))[: PROMPTS - len(prompts)]:
            new = entry.request
            prompts.append(BatchPromptBody(line=line, ref=new.external_ref, prompt=new.prompt, language=new.language))
        total, rejected = total + len(entries), rejected + len(wrong)
        problems += wrong[: SAMPLE - len(problems)]
    if not total:
        raise empty(problems)
    return BatchDryRunBody(
        total=total,
        rejected=rejected,
        problems=[problem_body(one) for one in problems],
        prompts=prompts,
        estimate=BatchTotalBody(credits=total * ABOUT_A_CLIP, seconds=look(lambda session: _seconds(session, total))),
    )


def _uploads(session: Session, caller: Caller, chunk: Chunk) -> dict[str, Any]:
    return {one: row for one in chunk.uploads() if (row := uploads.get(session, caller.owner_id, one))}


def _seconds(session: Session, total: int) -> float | None:
    times = estimate.seconds(estimate.paces.now(session), Left(total, 0), None)
    return round(times[0], 1) if times else None
