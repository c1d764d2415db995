"""A client that keeps its cursors while it changes wires, by the rules of PROTOCOL.md section 3.

It believes nothing: each message, verdict, gap and cursor is held against the ledger.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Mapping

from attrs import define, field, frozen

from tests.clients import Body, Client, Message, PollClient, WebSocketClient
from tests.ledger import BEFORE_ALL, TICK_MS, Account, Gap, Ledger, Place

# PROTOCOL.md 3: what a cursor may have missed at most, to be resumed; and 6: what a reader may.
RESUMED_MESSAGES = 360
RESUMED_BYTES = 1024 * 1024
CAUGHT_UP_MESSAGES = 30
# More than a message has beside its padding.
ENVELOPE = 400
VERDICTS = {"too_old", "epoch_changed", "unknown"}
PATIENCE_S = 10.0


@frozen
class Ask:
    """A subscribe that was sent, and how far the log was by then."""

    ticks: int
    since: Place | None
    head: int


@define
class Order:
    """What may still come on one connection, or in one answer to a poll.

    ``high`` is the place of the newest message of all channels, ``highs`` of each; ``gaps`` the
    reasons for which a gap is still to come, ``openings`` the channels that begin with a snapshot.
    """

    high: Place = BEFORE_ALL
    highs: dict[str, Place] = field(factory=dict)
    gaps: dict[str, str] = field(factory=dict)
    openings: set[str] = field(factory=set)


@define(eq=False)
class Leg:
    """One connection; ``live`` are the channels whose subscription was acknowledged on it."""

    client: Client
    order: Order = field(factory=Order)
    asked: defaultdict[str, list[Ask]] = field(factory=lambda: defaultdict(list))
    live: set[str] = field(factory=set)
    reading: asyncio.Event = field(factory=asyncio.Event)
    pump: asyncio.Task[None] | None = None

    @property
    def acknowledged(self) -> bool:
        """Whether every subscribe was answered."""
        return not any(self.asked.values())


@define(eq=False)
class Traveller:
    """One client of several channels, on one wire at a time."""

    ledger: Ledger
    accounts: Mapping[str, Account]
    history_s: int
    padding: int
    leg: Leg | None = None
    _texts: dict[tuple[str, int], str] = field(factory=dict)
    _news: asyncio.Event = field(factory=asyncio.Event)

    # The client's own rules

    @property
    def lowest(self) -> Place | None:
        """The one cursor for SSE and long-poll; None before the first message of all."""
        return min((a.at for a in self.accounts.values() if a.at is not None), default=None)

    async def board(self, client: Client) -> None:
        """Go on with a fresh client from where the last one ended."""
        self.leg = leg = Leg(client)
        leg.reading.set()
        if isinstance(client, WebSocketClient):
            for channel, account in self.accounts.items():
                await self.subscribe(channel, account.ticks)
        else:
            wants = [self._ask(leg, channel, self.lowest) for channel in self.accounts]
            await client.subscribe(*wants, since=self._cursor(self.lowest))
        pump = self._poll(leg, client) if isinstance(client, PollClient) else self._read(leg)
        leg.pump = asyncio.ensure_future(pump)

    async def subscribe(self, channel: str, ticks: int) -> None:
        """Subscribe on a WebSocket, from the channel's own cursor."""

    async def unsubscribe(self, channel: str) -> None:
        """Give a channel of a WebSocket back, keeping its cursor."""

    async def leave(self, *, abruptly: bool) -> None:
        """Leave the wire; what is still on it is lost."""

    # What comes
