"""Who wants the messages, as the chooser of transports sees it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from app.client.cursors import Cursors
from app.client.messages import Received
from app.client.want import Want
from app.client.wire import End, Wire
from schema.cursor import Cursor


class Listener(Protocol):
    """What the chooser needs of whoever wants the messages."""

    cursors: Cursors

    def wanted(self) -> Mapping[str, Want]:
        """Return the channels that are asked for."""

    def up(self, wire: Wire) -> None:
        """Take note that this wire brings the messages from now on."""

    def down(self, end: End) -> None:
        """Take note that none does; after a final end none will."""

    def refused(self, end: End) -> bool:
        """Ask for less, if the server's refusal leaves anything to ask for."""

    def message(self, received: Received, *, trusted: bool) -> float | None:
        """Take a message; of a data message, tell how long after another wire it came."""

    def covered(self, channels: Iterable[str], cursor: Cursor, *, trusted: bool) -> None:
        """Take a cursor up to which these channels have all there is."""

    def failed(self, error: Exception) -> None:
        """Take note of a mistake in the program."""

    async def room(self) -> None:
        """Wait until more messages are wanted."""
