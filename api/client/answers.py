"""What the service answers, as far as several resources' answers hold it."""

from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Generic, TypeVar

from pydantic import BaseModel, ConfigDict


class Model(BaseModel):
    """An answer. Fields of newer services are kept beside those named here."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="allow")

    def to_dict(self) -> dict[str, Any]:
        """The JSON as the service sent it."""
        return self.model_dump(mode="json", exclude_unset=True)


Item = TypeVar("Item")
Answer = TypeVar("Answer", bound=Model)

LONGEST_PAGE = 200


class Page(Model, Generic[Item]):
    """Some of a list; `next_cursor` leads on, and is None on the last page."""

    data: list[Item]
    next_cursor: str | None = None


def every(page: Callable[[str | None], Page[Item]]) -> Iterator[Item]:
    """All of a list, page by page: `page` gives the one at a cursor, or the first."""
    cursor: str | None = None
    while True:
        found = page(cursor)
        yield from found.data
        cursor = found.next_cursor
        if cursor is None:
            return


class Charge(Model):
    """What is known of the charge: `none`, `incurred` or `unknown`; credits where they are known."""

    state: str
    credits: float | None = None


class RenderError(Model):
    """Why a run failed, and what to do."""

    code: str
    message: str | None = None
    retryable: bool = False
    help: str = ""


class Hint(Model):
    """Advice that changed nothing."""

    code: str
    message: str


class RenderAsset(Model):
    """An asset of a render: an address, or an upload with its facts."""

    url: str | None = None
    upload: str | None = None
    name: str | None = None
    media_type: str | None = None
    bytes: int | None = None


class Estimate(Model):
    """What a render would take."""

    credits: float
    seconds: float | None = None
