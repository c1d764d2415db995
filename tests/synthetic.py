"""A source of numbers that tests choose: proof that a channel is one file and one line."""

from __future__ import annotations

import functools
from typing import Any, ClassVar

from attrs import define, field, frozen

from app.core.source import SourceUnavailableError, Window
from schema.fields import Detail
from schema.messages import DataMessage


@frozen
class Numbers:
    """What a synthetic channel tells: its newest number, how many its window spans, and padding."""

    value: int
    span: int
    padding: str


@functools.cache  # a class costs the codec a converter of its own
def message_class(channel: str) -> type[DataMessage]:
    """Make the message class of a channel."""

    @frozen
    class SyntheticMessage(DataMessage):
        """A message of a synthetic channel."""

        TAG: ClassVar[str] = channel
        data: Numbers

    return SyntheticMessage


@define(eq=False)
class SyntheticSource:
    """Counts up by one a sample; fails, hangs or is not there when a test says so."""

    channel: str = "synthetic"
    always: bool = True
    padding: int = 0
    details: tuple[Detail, ...] = (Detail.SIMPLE, Detail.STANDARD)
    value: int = 0
    failure: Exception | None = None
    blocker: Any = None  # called inside of sample(), and may block
    message: type[DataMessage] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.message = message_class(self.channel)

    def sample(self) -> int:
        """Count."""
        if self.blocker is not None:
            self.blocker()
        if self.failure is not None:
            raise self.failure
        self.value += 1
        return self.value

    def vanish(self, reason: str) -> None:
        """Be unavailable from now on."""
        self.failure = SourceUnavailableError(reason)

    def render(self, window: Window, _detail: Detail) -> Numbers:
        """Tell the newest number and the difference to the window's first."""
        return Numbers(window.last, window.last - window.first, "x" * self.padding)
