"""How a client's connection is."""

from __future__ import annotations

from enum import StrEnum

from attrs import frozen

from schema.errors import PulsewireError
from schema.messages import Connected, Error


class Status(StrEnum):
    """``connecting`` is for the first time, ``closed`` for good."""

    CONNECTING = "connecting"
    CONNECTED = "connected"
    RECONNECTING = "reconnecting"
    CLOSED = "closed"


@frozen
class State:
    """How the connection is.

    ``transport`` is the one that brings the messages, ``error`` why there is none, ``attempts``
    how many have failed since there was one, ``server`` what the server told of itself: nothing,
    as long as all came by long-poll.
    """

    status: Status = Status.CONNECTING
    transport: str | None = None
    error: str | None = None
    attempts: int = 0
    server: Connected | None = None


class RefusedError(PulsewireError):
    """The server will not have us, and to come back is of no use.

    ``error`` is what the server said, None if it was not a Pulsewire server that answered.
    """

    def __init__(self, message: str, error: Error | None = None) -> None:
        super().__init__(message)
        self.error = error
