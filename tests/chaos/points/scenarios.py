"""Scenarios that between them reach every point. `record` (see `__main__.py`) writes down which reaches which.

Most are one render with one thing going wrong at the backend; the name says what.
"""

from typing import Any

import httpx

from tests.chaos.points.plays import Play, picture
from tests.chaos.points.registry import Scenarios
from tests.chaos.points.sql import rows, sql

SCENARIOS = Scenarios()
scenario = SCENARIOS.add


@scenario
def plain(play: Play) -> None:
    """Nothing goes wrong; the backend takes a moment for the export."""
    play.final(play.render("[[sandbox: export_slow seconds=0.7]]"))


@scenario
def posted(play: Play) -> None:
    """An upload, a render that uses it, all its pages, its deletion."""
    ground = play.ground
    upload = _upload(play)
    render = play.post(assets=[{"upload": upload}])
    ground.ask("POST", "/v1/renders?dry_run=true", json={"prompt": "a 1 second clip"})
    play.until(lambda: ground.ask("GET", f"/v1/renders/{render}").json()["status"] == "succeeded", "its end")
    for page in ("", "/events", "/video", "/poster", "/timeline"):
        ground.ask("GET", f"/v1/renders/{render}{page}")
    assert ground.ask("DELETE", f"/v1/renders/{render}").status_code in (204, 404)
    play.sweep()
    assert ground.ask("GET", f"/v1/renders/{render}").status_code == 404


def _upload(play: Play, colour: str = "teal") -> str:
    answer = play.until(lambda: play.quietly(lambda: _sent(play, colour)), "an answer")
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


def _sent(play: Play, colour: str) -> httpx.Response:
    headers = {"Idempotency-Key": _key(play, colour)}
    name = {"name": f"{colour}.png"}
    return play.ground.http.post("/v1/uploads", params=name, content=picture(colour), headers=headers)


def _key(play: Play, colour: str) -> str:
    return f"{play.name} {colour}".replace(" ", "-")


@scenario
def asked(play: Play) -> None:
    """Every reading call of the intake."""
    account = play.ground.ask("GET", "/v1/accounts").json()["data"][0]["id"]
    for page in (
        *("renders", "events", "recoveries", "usage", "credits", "key", f"accounts/{account}"),
        f"uploads/{_upload(play)}",
    ):
        assert play.ground.ask("GET", f"/v1/{page}").status_code == 200
    play.ground.ask("GET", "/readyz")


@scenario
def templated(play: Play) -> None:
    """A template is made, looked at, changed, tried and archived; each call is repeated with its key where it died."""
    name, prompt = play.name.replace(" ", "-").replace("_", "-").lower(), "a 1 second clip of {{ what }}"
    content = {"prompt": prompt, "variables": {"what": {}}}
    ground, at = play.ground, f"/v1/templates/{name}"
    ground.ask("POST", "/v1/templates?dry_run=true", json={"name": name, **content})
    for path, body in (("/v1/templates", {"name": name, **content}), (f"{at}/versions", content)):
        answer = ground.ask("POST", path, json=body, headers={"Idempotency-Key": f"{name}-{len(path)}"})
        assert answer.status_code == 201, answer.text
    for path in ("/v1/templates", at, f"{at}/versions", f"{at}/versions/2"):
        assert ground.ask("GET", path).status_code == 200
    assert [one.number for one in rows(_NUMBERS, name=name)] == [1, 2]
    filled = ground.ask("POST", f"{at}/preview", json={"variables": {"what": "a kite"}}).json()
    assert filled["prompt"] == "a 1 second clip of a kite"
    assert ground.ask("DELETE", at).status_code == 204


_NUMBERS = """
SELECT number FROM template_versions JOIN templates ON templates.id = template_id WHERE name = :name ORDER BY number"""


@scenario
def changed(play: Play) -> None:
    """Changed while it is queued, cancelled, begun again by the intake; an upload thrown away."""
    ground = play.ground
    upload = _upload(play)
    render = play.post(assets=[{"upload": _upload(play, "gold")}], ends=("canceled", "succeeded"))
    ground.ask("PATCH", f"/v1/renders/{render}", json={"priority": "high"})
    ground.ask("POST", f"/v1/renders/{render}/cancel")
    assert ground.ask("DELETE", f"/v1/uploads/{upload}").status_code in (204, 404)


@scenario
def followed(play: Play) -> None:
    """Its events are followed live, and its end is waited for."""
    ground = play.ground
    render = play.post()

    def follow() -> bool:
        headers = {"Accept": "text/event-stream"}
        with ground.http.stream("GET", f"/v1/renders/{render}/events", headers=headers) as answer:
            return answer.status_code == 204 or any("render.succeeded" in line for line in answer.iter_lines())

    play.until(lambda: play.quietly(follow), "the last event")


@scenario
def same_key_twice(play: Play) -> None:
    """A file comes while another request with its key is not through: it is stored, refused and taken away again."""
    with play.key_in_flight("POST /v1/uploads", _key(play, "teal")):
        play.until(lambda: play.quietly(lambda: _sent(play, "teal").status_code == 409), "the refusal")
    _upload(play)


@scenario
def asset_by_address(play: Play) -> None:
    """The backend fetches a file itself, after an answer that could have meant anything."""
    with play.shop({"/label.png": picture("gold")}) as shop:
        play.ground.rule(do="http_status", on="upload", status=500)
        play.final(play.render(assets=[{"url": f"{shop}/label.png"}]))


@scenario
def stream_cut(play: Play) -> None:
    """The stream breaks off after the turn was done."""
    play.final(play.render("[[sandbox: cut_after]]"))


@scenario
def nothing_known(play: Play) -> None:
    """The stream breaks off and nothing was done; the second attempt's session is lost before its message."""
    first = play.render(rule={"do": "cut_before"}, messages=3, on_unconfirmed="retry")
    play.streaming(first)
    play.ground.rule(do="lost", match=first.words)
    play.final(first)


@scenario
def session_lost(play: Play) -> None:
    """The session is gone before its message, for once."""
    play.final(play.render(rule={"do": "lost"}, messages=2))


@scenario
def no_credits(play: Play) -> None:
    """The message is refused for want of credits, and goes through a moment later."""
    play.final(play.render(rule={"do": "no_credits"}, messages=2))


@scenario
def question(play: Play) -> None:
    """The answer is a question; the balance, read beforehand, shows that it cost nothing."""
    play.until(lambda: play.ground.ledger()["summary"]["streams"] == 0, "quiet")
    play.sweep()
    play.final(play.render("[[sandbox: question]]", ends=("failed",)))


@scenario
def long_stream(play: Play) -> None:
    """A stream long enough for the outside to be told that the backend is still at work."""
    play.final(play.render("[[sandbox: stream seconds=1.2]]"))


@scenario
def cancelled_in_stream(play: Play) -> None:
    """Cancelled while its stream is open."""
    journey = play.render("[[sandbox: stream seconds=2]]", ends=("canceled",))
    play.streaming(journey)
    play.cancel(journey)
    play.final(journey)


@scenario
def cancelled_in_export(play: Play) -> None:
    """Cancelled while its export is asked after."""
    journey = play.render("[[sandbox: export_stuck]]", ends=("canceled",))
    play.until(lambda: journey.row.stage == "poll", "the export")
    play.cancel(journey)
    play.final(journey)


@scenario
def cancelled_before_message(play: Play) -> None:
    """Cancelled between the claim and the message: the stage lets go and the canceller ends it."""
    # Several: messages of earlier scenarios may be watched, and their states read, at the same time.
    play.ground.rule(do="delay", on="state", seconds=0.8, match="", times=6)
    journey = play.render(ends=("canceled", "succeeded"))
    play.until(lambda: journey.row.stage == "generate", "the message's turn")
    play.until(lambda: (row := journey.row).worker_id or row.stage != "generate", "its claim")
    play.cancel(journey)
    play.final(journey)


@scenario
def export_id_refused(play: Play) -> None:
    """The export's id is refused as used before."""
    play.final(play.render("[[sandbox: export_refuse_id]]"))


@scenario
def export_refused(play: Play) -> None:
    """The export is refused for want of a subscription, and taken later."""
    play.final(play.render("[[sandbox: no_subscription on=export]]"))


@scenario
def held(play: Play) -> None:
    """The account is held by hand while a render with a deadline is in the queue: its clock stands meanwhile."""
    play.final(play.render())  # there is an account then
    sql("UPDATE accounts SET held_at = now()")
    try:
        journey = play.render(deadline_seconds=600)
        play.until(lambda: journey.row.clock_stopped_at, "the stop of its clock")
    finally:
        sql("UPDATE accounts SET held_at = NULL")
    play.final(journey)


@scenario
def export_unsaid(play: Play) -> None:
    """The export's answer is lost, and the first question after it is refused."""
    play.final(play.render("[[sandbox: export_answer_lost]] [[sandbox: http_status on=poll status=500]]"))


@scenario
def export_unheard(play: Play) -> None:
    """The export was never heard of: its answer is lost, its id unknown."""
    play.final(play.render("[[sandbox: drop on=export]]"))


@scenario
def export_failed(play: Play) -> None:
    """The export fails, twice; a new run makes another."""
    journey = play.render("[[sandbox: export_fails times=2]]", ends=("succeeded", "failed"))
    play.final(journey)
    if journey.row.status == "failed":
        answer = play.ground.ask("POST", f"/v1/renders/{journey.id}/retry", json={})
        assert answer.status_code in (202, 409), answer.text
        play.final(journey)


@scenario
def token_refused(play: Play) -> None:
    """All tokens end while an export is asked after; the first new one is refused, for its client id."""
    journey = play.render("[[sandbox: export_slow seconds=1]]")
    play.until(lambda: journey.row.stage == "poll" or journey.row.finished_at, "its export")
    play.ground.rule(do="code", on="token", code=400, message="X-Client-Id is required")
    play.ground.control("expire-tokens")
    play.final(journey)


@scenario
def download_gone(play: Play) -> None:
    """The result's address leads nowhere: the fallback gives the file."""
    play.final(play.render("[[sandbox: download_404]]"))


@scenario
def file_broken(play: Play) -> None:
    """Neither way gives a video, three times over: one new export."""
    wishes = "[[sandbox: download_not_video times=3]] [[sandbox: fallback_not_video times=3]]"
    play.final(play.render(wishes))


@scenario
def sender_killed(play: Play) -> None:
    """The worker is killed with the stream open; another takes over."""
    journey = play.render("[[sandbox: stream seconds=1]]")
    play.streaming(journey)
    play.ground.kill_and_mend("stream")
    play.final(journey)


@scenario
def stray(play: Play) -> None:
    """A living worker owns a render that it does not work on."""
    journey = play.stray()
    play.final(journey)


@scenario
def swept(play: Play) -> None:
    """Housekeeping with an upload that nobody used."""
    upload = _upload(play)
    sql("UPDATE uploads SET created_at = now() - interval '2 days' WHERE id = :id", id=upload)
    play.sweep()
    assert not rows("SELECT 1 FROM uploads WHERE id = :id", id=upload)


@scenario
def surprised(play: Play) -> None:
    """The backend uses a code that nobody knows; it is counted."""
    met = "SELECT coalesce(sum(count), 0) AS met FROM surprises"
    before = rows(met)[0].met
    play.ground.rule(do="code", on="state", code=4900 + play.number % 99, message="new")
    journey = play.render(ends=("failed", "succeeded"))
    play.final(journey)
    # Counts that were not written down go with their process.
    play.until(lambda: rows(met)[0].met > before or play.ground.dead(), "the surprise")


@scenario
def workers_leave(play: Play) -> None:
    """Every worker is asked to leave, and new ones come."""
    journey = play.render("[[sandbox: stream seconds=1]]")
    play.streaming(journey)
    play.leave("stream")
    play.final(journey)


@scenario
def begun_anew(play: Play) -> None:
    """Dispatcher, a worker and the intake are started afresh."""
    for name in ("dispatcher", "io", "api"):
        play.ground.kill_and_mend(name)
    play.final(play.render())
    play.ground.ask("GET", "/v1/key")


@scenario
def late(play: Play) -> None:
    """Nobody can know what became of the message; long after the render was given up, its video turns up."""
    journey = play.render("[[sandbox: cut_then_apply seconds=12]]")
    play.until(lambda: journey.row.run == 2, "the run that begins by itself")
    play.final(journey)


@scenario
def never(play: Play) -> None:
    """Watched messages whose session is forgotten, and whose last read is refused."""
    first, second = (play.render("[[sandbox: cut_before]]", ends=("failed",)) for _ in range(2))
    play.final(first, second)
    watched = "SELECT 1 FROM intents WHERE render_id = :id AND watch_at IS NOT NULL"
    play.ground.rule(do="lost", on="state", match=first.words)
    play.until(lambda: not rows(watched, id=first.id), "the end of its watch")
    play.ground.rule(do="http_status", on="state", match=second.words, status=500, times=100)
    sql("UPDATE intents SET settled_at = now() - interval '2 days' WHERE render_id = :id", id=second.id)
    play.until(lambda: not rows(watched, id=second.id), "the end of the other's")


@scenario
def expired(play: Play) -> None:
    """Its deadline passes while its stream is open."""
    play.final(play.render("[[sandbox: stream seconds=5]]", ends=("expired",), deadline_seconds=2))


@scenario
def rate_limited(play: Play) -> None:
    """The message is refused for its rate, and goes through a moment later."""
    play.final(play.render(rule={"do": "rate_limited"}, messages=2))


@scenario
def doubted(play: Play) -> None:
    """The state is refused so often that the balance is asked for, to see whether the whole backend is broken."""
    play.ground.rule(do="http_status", on="state", status=500, times=7)
    play.final(play.render())


@scenario
def asked_again(play: Play) -> None:
    """An error is told on the stream; the next run waits until that turn is over for sure."""
    journey = play.render(rule={"do": "error_frame"}, messages=2, ends=("succeeded", "failed"))
    play.final(journey)
    if journey.row.status == "failed":
        answer = play.ground.ask("POST", f"/v1/renders/{journey.id}/retry", json={})
        assert answer.status_code in (202, 409), answer.text
        play.final(journey)


@scenario
def turns(play: Play) -> None:
    """A session of two instructions and a message; an edit of a render; all its pages, its end."""
    ground = play.ground
    words = [f"A 1 second clip, {play.name}, turn {number}." for number in (1, 2)]
    at = ground.ask("POST", "/v1/sessions", json={"messages": [{"text": one} for one in words]}, headers=_once(play, 0))
    assert at.status_code == 201, at.text
    session = at.json()["links"]["self"]
    for one in at.json()["turns"]:
        _expect(play, one["id"])
    said = {"text": f"make it 2 seconds, {play.name}"}
    _expect(play, _made(ground.ask("POST", f"{session}/messages", json=said, headers=_once(play, 1)))["render"]["id"])
    ground.ask("POST", f"{session}/messages", json={"text": "credits"}, headers=_once(play, 2))
    play.settled()
    last = [one for one in play.ends if rows("SELECT 1 FROM drafts WHERE render_id = :id", id=one)][-1:]
    for one in last:
        edit = {"prompt": f"make it 1 second, {play.name}"}
        _expect(play, _made(ground.ask("POST", f"/v1/renders/{one}/edits", json=edit, headers=_once(play, 3)))["id"])
    play.settled()
    for page in ("/v1/sessions", session, f"{session}/state"):
        assert ground.ask("GET", page).status_code == 200
    assert ground.ask("POST", f"{session}/close").status_code == 204


@scenario
def turns_lost(play: Play) -> None:
    """The backend forgets a session after its first turn."""
    ground = play.ground
    words = [f"A 1 second clip, {play.name}, turn {number}." for number in (1, 2)]
    ground.rule(on="message", do="lost", match=words[1])
    made = ground.ask(
        "POST", "/v1/sessions", json={"messages": [{"text": one} for one in words]}, headers=_once(play, 0)
    )
    for one in made.json()["turns"]:
        _expect(play, one["id"], "failed")
    play.settled()


def _expect(play: Play, render_id: str, *more: str) -> None:
    play.ends[render_id] = ("succeeded", *more)
    play.messages[render_id] = 1


def _made(answer: httpx.Response) -> Any:
    assert answer.status_code == 202, answer.text
    return answer.json()


def _once(play: Play, number: int) -> dict[str, str]:
    """The same key goes with each repetition."""
    return {"Idempotency-Key": f"{play.name} turns {number}".replace(" ", "-")}


@scenario
def measured(play: Play) -> None:
    """Somebody looks at the metrics of a fresh intake."""
    play.ground.kill_and_mend("api")
    play.until(lambda: play.quietly(lambda: play.ground.http.get("/metrics").status_code == 200), "the metrics")
