"""The sandbox can be killed and goes on where it was; told to stop, it stops at once."""

from contextlib import ExitStack

from tests.sandbox.driver import PROMPT, Caller, Sandbox, until


def test_a_killed_sandbox_forgets_nothing(own_sandbox: Sandbox):
    """Sessions, drafts, credits, rules and finished films outlive kill -9; a turn that was running is refunded."""
    caller = Caller(own_sandbox)
    session, raw, running = caller.session(), caller.session(), caller.session()
    caller.say(session)
    caller.say(raw, f"{PROMPT} [[sandbox: two_step seconds=1]]")
    done, draft, before = caller.exported(session), caller.draft_text(session), own_sandbox.ledger()
    own_sandbox.rule(on="credits", do="http_status", status=502)
    own_sandbox.switch(stream_seconds=30)
    with ExitStack() as stack:
        stream = stack.enter_context(caller.saying(running, PROMPT))
        next(stream.iter_raw())
        own_sandbox.kill()
    own_sandbox.start_again()
    assert caller.draft_text(session) == draft
    assert own_sandbox.http.get(done["output"]["url"]).status_code == 200
    assert caller.http.get("/api/credits/balance/simple").status_code == 502
    assert caller.credits() == {"available": 999_800, "frozen": 0, "total": 999_800}
    after = own_sandbox.ledger()
    assert after["messages"][:2] == before["messages"]
    assert (after["messages"][2]["outcome"], after["messages"][2]["refunded"]) == ("not_applied", 100)
    assert after["sessions"][0] == before["sessions"][0]
    until(lambda: len(caller.draft(raw)["t"]) == 3)


def test_an_export_that_was_running_begins_again(own_sandbox: Sandbox):
    """After kill -9 an accepted export still completes."""
    caller = Caller(own_sandbox)
    own_sandbox.switch(export_seconds=30)
    session = caller.session()
    caller.say(session)
    render = caller.export(session).json()["id"]
    own_sandbox.kill()
    own_sandbox.start_again()
    until(lambda: caller.poll(render).json()["status"] == "completed")


def test_it_stops_within_two_seconds_of_a_sigterm(own_sandbox: Sandbox):
    """Open streams do not hold it."""
    own_sandbox.switch(stream_seconds=60)
    with ExitStack() as stack:
        for _ in range(20):
            caller = Caller(own_sandbox)
            stream = stack.enter_context(caller.saying(caller.session(), PROMPT))
            next(stream.iter_raw())
        assert own_sandbox.ledger()["most_streams"] == 20
        assert own_sandbox.terminate() < 2
