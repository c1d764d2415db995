"""One try at one transport."""

from __future__ import annotations

import asyncio
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from ssl import SSLError
from typing import ClassVar, Protocol

import httpx
from attrs import define, field, frozen
from websockets.exceptions import WebSocketException

from app.client.cursors import Cursors
from app.client.link import Link
from app.client.messages import Received
from app.client.patience import Liveness, Path
from app.client.want import Want
from schema.cursor import Cursor
from schema.errors import InvalidMessage
from schema.messages import Connected, Error

LIVENESS_S = 5.0
"""Beside two heartbeats, how long a stream may be silent."""


@frozen
class End:
    """How a connection ended, or why there is none.

    ``error`` is what to tell people, ``said`` the server's own error message. ``spoken``: the
    server said so, it is no fault of the way there. ``final``: it shall not be tried again.
    ``barred``: something answered, and refused this transport. ``after`` is in how many seconds
    to come back, if the server said.
    """

    error: str
    spoken: bool = False
    final: bool = False
    barred: bool = False
    said: Error | None = None
    after: float | None = None


class Ended(Exception):  # noqa: N818 - no error by itself; most ends are part of the day's work
    """Raised by a wire to end itself."""

    def __init__(self, end: End) -> None:
        super().__init__(end.error)
        self.end = end


class Host(Protocol):
    """What a wire needs of whoever opened it."""

    link: Link
    path: Path
    clock: Callable[[], float]

    @property
    def cursors(self) -> Cursors:
        """How far each channel has come."""

    def wanted(self) -> Mapping[str, Want]:
        """Return the channels that are asked for."""

    def free(self) -> bool:
        """Tell whether no other wire brings messages."""

    def message(self, wire: Wire, received: Received) -> None:
        """Take a message."""

    def covered(self, wire: Wire, channels: Iterable[str], cursor: Cursor) -> None:
        """Take a cursor up to which these channels have all there is."""

    def proven(self, wire: Wire) -> None:
        """Take note that a wire works."""

    def ended(self, wire: Wire, end: End) -> None:
        """Take note of its end; once, and not after `close`."""

    async def room(self) -> None:
        """Wait until more messages are wanted."""


@define(eq=False)
class Wire(ABC):
    """One try at one transport. It reports to its host and decides nothing.

    ``proven``: it has shown that it works. ``anchored``: it goes on from the cursors that there
    are, so that it may bring messages beside another. ``held``: the reader is slow, so nothing is
    read. ``cleared_at`` is when a plain request first worked since it began, ``latency`` the
    seconds that an answer took which the server gave at once.
    """

    NAME: ClassVar[str]

    host: Host
    proven: bool = False
    anchored: bool = False
    held: bool = False
    over: bool = False
    cleared_at: float | None = None
    latency: float | None = None
    started_at: float = field(init=False)
    liveness: Liveness = field(init=False)
    task: asyncio.Task[None] = field(init=False)

    def open(self) -> None:
        """Begin."""
        self.started_at = self.host.clock()
        self.liveness = Liveness(self.host.clock)
        self.task = asyncio.ensure_future(self._live())

    @abstractmethod
    async def run(self) -> None:
        """Do what the transport does, until it ends.

        Raises:
            Ended: this is how it always ends.
        """

    async def _live(self) -> None:
        try:
            await self.run()
        except Ended as ended:
            self.end(ended.end)
        except (OSError, httpx.HTTPError, WebSocketException) as fault:
            self.end(End(_told(fault)))
        except InvalidMessage as error:
            self.end(End(f"the server sent what cannot be read: {error}"))

    def hand(self, received: Received | None) -> None:
        """Hand a message over."""
        if received is None or self.over:
            return
        if isinstance(received.message, Connected):
            self.liveness.limit = 2 * received.message.heartbeat_ms / 1000 + LIVENESS_S
        self.host.message(self, received)

    async def rest(self) -> None:
        """Where the reader is slow, wait for it."""
        self.held = True
        try:
            await self.host.room()
        finally:
            self.held = False
        self.liveness.excuse()

    def prove(self) -> None:
        """Take note that it works."""
        if not self.proven and not self.over:
            self.proven = True
            self.host.proven(self)

    def close(self) -> None:
        """Let go of everything; once, as a second time would disturb the first."""
        if not self.over:
            self.over = True
            self.task.cancel()

    def end(self, end: End) -> None:
        """Close, and say why."""
        if not self.over:
            self.close()
            self.host.ended(self, end)


def _told(fault: Exception) -> str:
    """Say what went wrong in as few words as will do."""
    if isinstance(fault, OSError) and fault.errno is not None and not isinstance(fault, SSLError):
        return os.strerror(fault.errno)
    return str(fault) or type(fault).__name__
