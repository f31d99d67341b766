"""The command: from the feed to the receiver, with a line for each event."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli.options import Since
from api.cli.reporting import Mistake, connected, say, show_json_line, words

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from api.cli.listening.forwarding import Answer, Receiver
    from api.client import Client, FeedEvent

Events = Annotated[
    list[str] | None,
    typer.Option("--events", metavar="PATTERN", help="render.succeeded, render.*, batch.*, *; several times."),
]


def listen(
    forward_to: Annotated[
        str | None, typer.Option(metavar="URL", help="Post each event there; left out, they are only shown.")
    ] = None,
    events: Events = None,
    since: Since = None,
    after: Annotated[
        str | None, typer.Option(metavar="PLACE", help="Go on behind it: the last words of an earlier run name it.")
    ] = None,
    secret: Annotated[str | None, typer.Option(metavar="whsec_…", help="Signs; left out, one is made.")] = None,
    print_json: Annotated[
        bool, typer.Option("--print-json", "--json", help="Each event as JSON, on a line of its own.")
    ] = False,
) -> None:
    """Have events come to a program on this machine, without a public address and without an endpoint.

    Each is posted in order, as the service's own webhooks are, to the byte; a restart with --after or --since sends it
    under the same id. An outage of the service is waited for; a receiver that does not take one is tried again a few
    times.

    \b
      vivideo hooks listen --forward-to http://localhost:3000/hooks
      vivideo hooks listen --events render.succeeded --since 1h --print-json
    """
    if since is not None and after is not None:
        raise Mistake("give --since or --after, not both")
    patterns = _patterns(events)
    receiver = _receiver(forward_to, secret)
    with connected(as_json=print_json) as client:
        heard = _Heard(as_json=print_json)
        try:
            _listen(client, receiver, heard, patterns, (since, after))
        finally:
            heard.sum_up()
            if receiver is not None:
                receiver.close()


def _listen(
    client: "Client",
    receiver: "Receiver | None",
    heard: "_Heard",
    patterns: "Sequence[str]",
    begin: "tuple[datetime | None, str | None]",
) -> None:
    from worker.webhooks import filters

    for event in _happening(client, heard, begin):
        if filters.lets_through(patterns, event.type):
            heard.show(event, receiver)
        heard.place = event.cursor or heard.place


def _happening(client: "Client", heard: "_Heard", begin: "tuple[datetime | None, str | None]") -> "Iterator[FeedEvent]":
    from api.cli.listening import following

    first, place = following.begin(client, *begin)
    heard.place = following.place_before(first[0]) if first else place
    say("waiting for events; Ctrl-C ends")
    yield from first
    yield from following.follow(client, place, say)


class _Heard:
    """What was heard so far, told line by line."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._console = words()
        self._events = self._missed = 0
        self._under_way = False
        self._missed_from: str | None = None
        """The place before the first that was not taken."""
        self.place: str | None = None
        """Behind all that is done with."""

    def show(self, event: "FeedEvent", receiver: "Receiver | None") -> None:
        from api.cli.listening.messages import message

        made = message(event)
        self._under_way = receiver is not None
        answer = receiver.tell(made, _again) if receiver is not None else None
        self._under_way, self._events = False, self._events + 1
        if self._as_json:
            show_json_line(_document(made.id, made.body, answer))
        else:
            _line(self._console, event, answer)
        if answer is not None and not answer.taken:
            self._missed += 1
            self._missed_from = self._missed_from or self.place
            say(f"not taken: {_why(answer)}; going on with the next")

    def sum_up(self) -> None:
        """The last words: what was heard, and how the rest comes. One that was being told when it was ended is neither
        taken nor not: it comes again."""
        if self.place is None:
            return
        missed = f", {self._missed} not taken" if self._missed else ""
        under_way = ", one was on its way" if self._under_way else ""
        goes_on = "sends again from the first of them on, under their ids" if self._missed else "goes on from here"
        say(f"{self._events} events{missed}{under_way}")
        say(f"→ vivideo hooks listen --after {self._missed_from or self.place} … {goes_on}")


def _line(console: Any, event: "FeedEvent", answer: "Answer | None") -> None:
    from rich.text import Text

    subject = event.render_id or event.batch_id or event.endpoint_id or ""
    line = Text(f"{event.at.astimezone():%H:%M:%S}  {event.type:<22}  {subject}")
    if event.external_ref:
        line.append(f"  {event.external_ref}", style="dim")
    if answer is not None:
        style = "green" if answer.taken else "red"
        line.append(f"  {answer.status or 'no answer'}", style=style).append(f"  {answer.seconds * 1000:.0f} ms")
    console.print(line)


def _again(answer: "Answer", pause: float) -> None:
    say(f"{_why(answer)}; again in {pause:g} s")


def _why(answer: "Answer") -> str:
    said = f": {answer.text}" if answer.text else ""
    return f"the receiver answered {answer.status}{said}" if answer.status else f"no answer ({answer.error})"


def _document(id: str, body: str, answer: "Answer | None") -> dict[str, Any]:
    import json

    told = answer and {
        "status": answer.status,
        "error": answer.error,
        "seconds": round(answer.seconds, 3),
        "tries": answer.tries,
    }
    return {"id": id, "event": json.loads(body), "answer": told}


def _patterns(given: "list[str] | None") -> "list[str]":
    from worker.webhooks import filters

    for pattern in given or ():
        if not filters.known_pattern(pattern):
            from api.webhooks.patterns import in_words

            raise Mistake(f"{pattern!r} is no event; there are {in_words()}")
    return given or ["*"]


def _receiver(url: str | None, secret: str | None) -> "Receiver | None":
    from api.cli.listening.forwarding import Receiver
    from worker.webhooks import signing

    if url is None:
        return None
    try:
        signs = signing.new_secret() if secret is None else signing.checked(secret)
    except signing.BadSecret as wrong:
        raise Mistake(str(wrong)) from None
    receiver = Receiver(url, signs)
    if secret is None:
        say(f"signed with {signs}: the receiver checks with it; --secret gives it again next time")
    return receiver
