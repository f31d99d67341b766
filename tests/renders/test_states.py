"""The table of moves."""

from itertools import pairwise

import pytest

from worker.pipeline import STAGES
from worker.renders.states import FINAL, MOVES, ORDER, IllegalMove, Stage, Status, check_move


def test_every_stage_has_its_moves_and_can_end():
    """From every stage a render can fail and be cancelled, and by some way succeed."""
    assert set(MOVES) == set(Stage)
    for moves in MOVES.values():
        assert {Status.FAILED, Status.CANCELED, Status.EXPIRED} <= moves
    reaching = {Stage.STORE}
    while more := {stage for stage in Stage if stage not in reaching and MOVES[stage] & reaching}:
        reaching |= more
    assert reaching == set(Stage)


def test_the_usual_way_is_allowed_and_a_short_cut_is_not():
    """Each step of the order is in the table; success comes from the last one alone."""
    for leaving, to in pairwise(ORDER):
        check_move("rnd_1", leaving, to)
    check_move("rnd_1", Stage.STORE, Status.SUCCEEDED)
    # One new export, whoever finds out that the first one failed.
    for stage in (Stage.EXPORT, Stage.POLL, Stage.STORE):
        check_move("rnd_1", stage, Stage.EXPORT)
    for stage in set(Stage) - {Stage.STORE}:
        with pytest.raises(IllegalMove, match=f"rnd_1 cannot go from {stage.value} to succeeded"):
            check_move("rnd_1", stage, Status.SUCCEEDED)


def test_nothing_goes_back_before_a_paid_message_but_a_new_attempt():
    """Once a message may have been received, only the look-up may lead back to a new session."""
    for stage in (Stage.VERIFY, Stage.EXPORT, Stage.POLL, Stage.STORE):
        assert not MOVES[stage] & {Stage.TOKEN, Stage.SESSION, Stage.UPLOAD, Stage.GENERATE}
    assert MOVES[Stage.LOOKUP] & set(Stage) == {Stage.VERIFY, Stage.SESSION}


def test_every_stage_has_somebody_who_works_it():
    """All stages but the poll, which goes in batches, have their function."""
    assert set(STAGES) == set(Stage) - {Stage.POLL}
    assert not FINAL & {Status.QUEUED, Status.RUNNING, Status.WAITING, Status.CANCELING}
