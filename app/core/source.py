"""What a source of data is: raw counters in, payloads out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from attrs import frozen

from schema.errors import PulsewireError
from schema.fields import Detail
from schema.messages import DataMessage


class SourceUnavailableError(PulsewireError):
    """There is nothing to sample at present (no container engine, say); the text says why.

    Raised by ``Source.sample``. The channel's subscribers are told, and it is tried again.
    """


@frozen
class Window:
    """Consecutive samples of one source, oldest first, with no hole between them.

    ``seconds`` is the time between the first and the last by the monotonic clock; there are
    always at least two.
    """

    samples: Sequence[Any]
    seconds: float

    @property
    def first(self) -> Any:  # noqa: ANN401
        """The sample at which the window begins."""
        return self.samples[0]

    @property
    def last(self) -> Any:  # noqa: ANN401
        """The sample that the message is about."""
        return self.samples[-1]


class Source(Protocol):
    """One channel's data. Adding a channel is one file with this, and one line in the factory."""

    @property
    def channel(self) -> str:
        """Name of the channel, and ``type`` of its messages."""
        ...

    @property
    def message(self) -> type[DataMessage]:
        """Class of its messages, with the type of their ``data``."""
        ...

    @property
    def details(self) -> tuple[Detail, ...]:
        """What may be asked for."""
        ...

    @property
    def always(self) -> bool:
        """Whether it runs with nobody asking; a costly source sleeps instead."""
        ...

    def sample(self) -> Any:  # noqa: ANN401
        """Read raw counters into a frozen value; runs on the source's own thread and may block.

        Raises:
            SourceUnavailableError: there is nothing to sample at present.
            Exception: anything else is a failure of this one sample.
        """
        ...

    def render(self, window: Window, detail: Detail) -> Any:  # noqa: ANN401
        """Make a payload out of a window; a pure function, called on the event loop."""
        ...


@runtime_checkable
class Resting(Protocol):
    """A source that holds things from one sample to the next: a connection, or what it compares to.

    It need not be one. The sampler calls it when nobody asks any more, and when it is stopped.
    """

    def rest(self) -> None:
        """Let go of what is held; runs on the source's own thread, between two samples.

        The next sample, if there is one, begins afresh. Nobody waits for the end of it, so at the
        end of the process it may not come to its own.

        Raises:
            Exception: it is logged, and the source goes on.
        """
        ...
