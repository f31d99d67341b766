"""The list of points is complete: what commits, sends, calls out or moves a file is a point, or fails here."""

import ast

import pytest

from tests.chaos.points import reached, rules
from tests.chaos.points.enumeration import LEFT_OUT, ROOT, find, loose, modules, points
from tests.chaos.points.guard import ALLOWED, other_ways
from tests.chaos.points.test_points import SOME


def test_every_point_is_reached_by_a_scenario():
    """A new commit, send, call or move appears here until a scenario passes it and the record is made anew."""
    names = {str(point) for point in points()}
    known = set(reached.table()) | set(reached.UNREACHED)
    assert names - known == set(), "add a scenario, then: python -m tests.chaos.points record"
    assert known - names == set(), "gone from the code: python -m tests.chaos.points record"
    assert not set(reached.table()) & set(reached.UNREACHED)


def test_the_short_form_names_points_of_every_kind():
    """What `make test` dies at exists, and is of each kind."""
    names = {f"{side} {point}": point.kind for point in points() for side in ("before", "after")}
    assert set(SOME) <= set(names)
    assert {names[one] for one in SOME} == {"commit", "send", "call", "move"}


def test_choke_points_are_called_and_not_handed_on():
    """`commit = transact` would hide its calls from the enumeration."""
    assert [f"{module} {found}" for _, tree, module in modules() for found in loose(tree)] == []


def test_nothing_commits_sends_calls_or_moves_another_way():
    """No session, connection, HTTP client or rename of one's own, but for those that are explained."""
    found = {(module, what) for _, tree, module in modules() for what in other_ways(tree)}
    assert found - set(ALLOWED) == set(), "use the choke points, or explain it in tests/chaos/points/guard.py"
    assert set(ALLOWED) - found == set(), "no longer there"


def test_what_is_left_out_exists():
    """A room that was renamed would take its points with it unseen."""
    for name in LEFT_OUT:
        path = ROOT / name.replace(".", "/")
        assert path.is_dir() or path.with_suffix(".py").is_file(), name


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("from worker.database import transact\ntransact(f)", "commit"),
        ("from worker import database as d\nd.at_once(f)", "commit"),
        ("from worker import app\napp.send(1, 2, 3)", "send"),
        ("celery.send_task('x')", "send"),
        ("job.remote.poll_export(a, b)", "call"),
        ("connection.execute('x')", "commit"),
        ("import os\nos.replace(a, b)", "move"),
        ("path.replace(other)", "move"),
        ("storage().put_file(a, b)", "move"),
        ("text.replace('a', 'b')", None),
        ("session.execute(x)", None),
        ("moment.replace(tzinfo=UTC)", None),
    ],
)
def test_a_call_is_known_by_what_it_calls(code: str, kind: str | None):
    """The rules, one by one."""
    assert [point.kind for point, _ in find(ast.parse(code), "m")] == ([kind] if kind else [])


def test_names_survive_edits_elsewhere():
    """Lines before a point and code around it leave its name alone; a second call of the same kind is the second."""
    body = "def f():\n    transact(a)\n    if x:\n        transact(b)\n"
    head = "from worker.database import transact\n"
    names = [str(point) for point, _ in find(ast.parse(head + body), "m")]
    assert names == ["commit m.f transact 1", "commit m.f transact 2"]
    assert [str(point) for point, _ in find(ast.parse(head + "y = 1\n\n\n" + body), "m")] == names


def test_the_clients_calls_are_read_from_its_code():
    """All its public calls, the paid message among them."""
    assert {"send_message", "submit_export", "anonymous_token"} <= rules.REMOTE
