"""What a session needs of the broadcaster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from app.core.cohort import Cohort
from app.core.counters import Counters
from app.core.log import Log
from schema.fields import Detail
from schema.messages import Subscribe

if TYPE_CHECKING:  # each knows the other
    from app.core.session import Session


class Desk(Protocol):
    """The broadcaster, as a session sees it."""

    @property
    def log(self) -> Log:
        """The log of the hub."""
        ...

    @property
    def delivered(self) -> int:
        """The newest seq that has been fanned out, or is just being."""
        ...

    @property
    def counters(self) -> Counters:
        """What the hub has done since its start."""
        ...

    def now(self) -> float:
        """Monotonic seconds."""
        ...

    def timestamp(self) -> int:
        """Milliseconds since the epoch."""
        ...

    def check(self, channel: str, detail: Detail | None = None) -> object:
        """Look a channel up.

        Raises:
            ProtocolError: there is no such channel, or not with that detail.
        """
        ...

    def cohort(self, wanted: Subscribe) -> Cohort:
        """Return the cohort of a subscription and keep its source awake."""
        ...

    def unavailable(self, channel: str) -> str | None:
        """Say why a channel has nothing to say at present, None if it has."""
        ...

    def released(self, cohort: Cohort) -> None:
        """Take note that a member has left a cohort."""
        ...

    def left(self, session: Session) -> None:
        """Take note that a client has gone."""
        ...
