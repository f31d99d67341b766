"""What the calls of a session may hold."""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from api import limits
from api.schemas import (
    Asset,
    Expect,
    Language,
    Metadata,
    Output,
    Plain,
    Priority,
    Prompt,
    Reference,
    Tag,
    VideoRequest,
)
from worker.remote.routing import route

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=limits.NAME_CHARACTERS), Plain]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Turn(_Request):
    """What belongs to a render of a session beside its words. Where nobody can know whether the paid message was
    received it is given up: a turn cannot leave its session for a new one."""

    assets: list[Asset] = Field(
        default=[], max_length=limits.ASSETS, description="Beside the files that wait in the session already."
    )
    output: Output = Output()
    priority: Priority = "normal"
    external_ref: Reference | None = Field(None, description="Your own reference.", examples=["sku-1"])
    tags: list[Tag] = Field(default=[], max_length=limits.TAGS)
    metadata: Metadata = {}

    def render(self, words: str, language: str | None) -> VideoRequest:
        """The same as a request for a render with these words."""
        return VideoRequest(
            template=None,
            prompt=words,
            quality_gate="report",
            expect=Expect(
                duration_seconds=None, aspect=None, silent=False
            ),  # "cut the last 5 seconds" says nothing of how long the whole should be
            language=language,
            assets=self.assets,
            output=self.output,
            on_unconfirmed="fail",
            deadline_seconds=None,
            priority=self.priority,
            external_ref=self.external_ref,
            tags=self.tags,
            metadata=self.metadata,
        )


class EditRequest(Turn):
    """What to change about a render's video."""

    prompt: Prompt = Field(examples=["make it 6 seconds and change the music"])


class MessageRequest(Turn):
    """Something said in a session: an instruction, a request such as "export", or nothing but files."""

    text: Prompt | None = Field(
        None,
        description="An instruction makes a render. A message that is nothing but a request (export, credits, status,"
        " upload; 导出, 积分, 状态, 上传) is answered without one. Files alone wait for the next instruction.",
        examples=['add the title "Summer"'],
    )

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.text is None and not self.assets:
            raise ValueError("give `text`, `assets`, or both")
        return self


class InstructionRequest(Turn):
    """One of several instructions that a session begins with."""

    text: Prompt = Field(examples=["create a 10-second video about our running shoe"])

    @model_validator(mode="after")
    def _an_instruction(self) -> Self:
        if route(self.text) != "generate":
            raise ValueError("`text` is a request, not an instruction: each instruction's video is exported by itself")
        return self


class SessionRequest(_Request):
    """A session to be begun."""

    name: Name | None = Field(None, examples=["spring campaign"])
    language: Language | None = Field(None, description="Of its videos; null: detected from the first message.")
    assets: list[Asset] = Field(
        default=[], max_length=limits.ASSETS, description="Files that wait for the first instruction."
    )
    messages: list[InstructionRequest] = Field(
        default=[],
        max_length=limits.SESSION_MESSAGES,
        description="Instructions to begin with: a render each, one by one, in this order.",
    )
