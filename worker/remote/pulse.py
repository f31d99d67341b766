"""Whether the backend answers at all, as the client sees it call by call; whoever wants to know is told here."""

from collections.abc import Generator
from contextlib import contextmanager

from worker.remote.errors import RateLimited, RemoteError, TryAgain, Unintelligible
from worker.remote.stream import Turn


class Pulse:
    """Told of each call. This one listens to nothing."""

    def answered(self, call: str) -> None:
        """The backend gave an answer of its own, be it a refusal."""

    def failed(self, call: str, detail: str) -> None:
        """No answer, or a 5xx: the backend could not do what it does."""

    @contextmanager
    def feel(self, call: str) -> Generator[None]:
        """Around one call. An answer of no known shape (a proxy's page) tells neither way."""
        try:
            yield
        except RateLimited:
            self.answered(call)
            raise
        except TryAgain as error:
            self.failed(call, str(error))
            raise
        except Unintelligible:
            raise
        except RemoteError:
            self.answered(call)
            raise
        self.answered(call)

    def turn(self, turn: Turn) -> None:
        """The paid message: only what is beyond doubt counts. A stream that was cut may have many causes, and the state
        that is read before each message tells sooner."""
        if turn.outcome == "unsent" and turn.cause == "connect":
            self.failed("send_message", str(turn.error))
        elif turn.outcome in ("received", "refused"):
            self.answered("send_message")


NOBODY = Pulse()
