"""A client that keeps its cursors while it changes wires, by the rules of PROTOCOL.md section 3.

It believes nothing: whatever comes goes through the inspector, and each cursor that it takes over
is checked against the ledger.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping

from attrs import define, field

from tests.clients import (
    CLIENTS,
    Client,
    Message,
    PollClient,
    SseClient,
    Want,
    WebSocketClient,
)
from tests.inspector import Ask, Inspector, ticks_of
from tests.ledger import TICK_MS, Account, Ledger, Place

PATIENCE_S = 10.0
# Room for who reads on: with a small buffer the kernel waits 200 ms between two segments.
WIDE = 1024 * 1024


@define(eq=False)
class TalkingClient(WebSocketClient):
    """A WebSocket that listens on while it says something."""

    _listeners: int = 0

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        self._listeners += 1
        self._connection.transport.resume_reading()
        try:
            yield
        finally:
            self._listeners -= 1
            if not self._listeners:
                self._connection.transport.pause_reading()


ROAMING: Mapping[str, type[Client]] = {**CLIENTS, TalkingClient.WIRE: TalkingClient}


@define(eq=False)
class Leg:
    """One connection: what was asked on it, and the channels that are subscribed.

    ``reading`` is cleared to stall; ``news`` is set by whatever comes, which the ``pump`` hears.
    """

    client: Client
    inspector: Inspector
    asked: defaultdict[str, list[Ask]] = field(factory=lambda: defaultdict(list))
    live: set[str] = field(factory=set)
    reading: asyncio.Event = field(factory=asyncio.Event)
    news: asyncio.Event = field(factory=asyncio.Event)
    pump: asyncio.Task[None] = field(init=False)

    @property
    def answered(self) -> bool:
        """Whether every subscribe was; a poll is answered when there is something to say."""
        return isinstance(self.client, PollClient) or not any(self.asked.values())

    @property
    def websocket(self) -> WebSocketClient:
        """The client, where it is one that can speak."""
        assert isinstance(self.client, WebSocketClient)
        return self.client


@define(eq=False)
class Traveller:
    """One client of several channels, on one wire at a time.

    ``wanted`` is the interval of each channel in ticks, and goes into the next subscribe.
    """

    ledger: Ledger
    accounts: Mapping[str, Account]
    wanted: dict[str, int]
    _leg: Leg | None = None

    @property
    def leg(self) -> Leg:
        """The connection that there is."""
        assert self._leg is not None
        return self._leg

    @property
    def wire(self) -> str | None:
        """The wire that it is on, if any."""
        return None if self._leg is None else self._leg.client.WIRE

    @property
    def lowest(self) -> Place | None:
        """The one cursor for SSE and long-poll; one of a former life of the log is the lower."""
        return min((a.at for a in self.accounts.values() if a.at is not None), default=None)

    # What it does

    async def board(self, client: Client, *, header: bool, wait: float) -> None:
        """Go on with a fresh client from where the last one ended.

        ``header`` has an event stream resumed as an EventSource does it; a poll may be held for
        ``wait`` seconds.
        """
        self._leg = leg = Leg(client, Inspector(self.ledger, self.accounts))
        leg.reading.set()
        if isinstance(client, WebSocketClient):
            for channel in self.accounts:
                await self._subscribe(leg, channel)
        else:
            since = self._cursor(self.lowest)
            self._ask(leg)
            wants = [Want(channel, self.wanted[channel] * TICK_MS) for channel in self.accounts]
            if header and since is not None and isinstance(client, SseClient):
                # It wins over what the first URL said.
                client.last_event_id, since = since, f"{self.ledger.epochs[0]}:0"
            await client.subscribe(*wants, since=since)
        leg.pump = asyncio.ensure_future(self._pump(leg, wait))

    async def leave(self, *, abruptly: bool) -> None:
        """Leave the wire; what is still on it is lost. Without a wire do nothing."""
        leg, self._leg = self._leg, None
        if leg is not None:
            assert not leg.pump.done() or leg.pump.result() is None
            if not isinstance(leg.client, PollClient):
                await _end(leg.pump)
            # A poll that was cancelled has closed its socket: that would be too late for a RST.
            await (leg.client.reset() if abruptly else leg.client.aclose())
            await _end(leg.pump)
            if not isinstance(leg.client, WebSocketClient):
                # The one cursor that it goes on with is that of all channels.
                self._adopt(leg, self.lowest)

    async def resubscribe(self, channel: str) -> None:
        """Replace a subscription of a WebSocket, from its own cursor."""
        # Two that the server reads in one go are answered once.
        await self._wait(lambda: self.leg.answered)
        await self._subscribe(self.leg, channel)

    async def unsubscribe(self, channel: str) -> None:
        """Give a channel of a WebSocket back, keeping its cursor."""
        await self._wait(lambda: self.leg.answered)
        self.leg.live.discard(channel)
        await self.leg.websocket.unsubscribe(channel)

    async def arrive(self) -> None:
        """Read until everything that is due was delivered or declared."""
        await self._wait(self._arrived)

    def _arrived(self) -> bool:
        return self.leg.answered and all(self.accounts[name].complete for name in self.leg.live)

    async def _wait(self, condition: Callable[[], bool]) -> None:
        leg = self.leg
        leg.client.widen(WIDE)
        leg.reading.set()
        async with asyncio.timeout(PATIENCE_S):
            while not condition():
                leg.news.clear()
                news = asyncio.ensure_future(leg.news.wait())
                await asyncio.wait([news, leg.pump], return_when=asyncio.FIRST_COMPLETED)
                news.cancel()
                assert not leg.pump.done() or leg.pump.result() is None

    # What it asks for

    async def _subscribe(self, leg: Leg, channel: str) -> None:
        ticks, since = self.wanted[channel], self.accounts[channel].at
        leg.live.discard(channel)
        leg.asked[channel].append(Ask(ticks, since, self.ledger.head))
        await leg.websocket.subscribe(Want(channel, ticks * TICK_MS), since=self._cursor(since))

    def _ask(self, leg: Leg) -> None:
        """Note that all channels are asked for, with one cursor."""
        since = self.lowest
        leg.live = set(self.accounts)
        for channel, account in self.accounts.items():
            account.ticks = self.wanted[channel]
            leg.asked[channel] = [Ask(account.ticks, since, self.ledger.head)]
        self._adopt(leg, since)

    def _adopt(self, leg: Leg, since: Place | None) -> None:
        """Say by the use of a cursor that all channels are there so far, also one yet to begin."""
        for channel in leg.live:
            if self.accounts[channel].at is None:
                self.accounts[channel].at = since

    def _cursor(self, place: Place | None) -> str | None:
        return None if place is None else self.ledger.cursor(place)

    # What it hears

    async def _pump(self, leg: Leg, wait: float) -> None:
        while True:
            await leg.reading.wait()
            if isinstance(leg.client, PollClient):
                await self._poll(leg, leg.client, wait)
            else:
                self._hear(leg, await leg.client.receive())
            leg.news.set()

    async def _poll(self, leg: Leg, client: PollClient, wait: float) -> None:
        answer = await client.poll(wait=wait)
        leg.inspector = Inspector(self.ledger, self.accounts)
        for channel, resume in answer.body["resume"].items():
            leg.inspector.verdict(channel, leg.asked[channel].pop(), resume)
        assert not any(leg.asked.values())
        for message in answer.messages:
            self._hear(leg, message)
        self._cover(leg, answer.body["cursor"])
        self._ask(leg)

    def _hear(self, leg: Leg, message: Message) -> None:
        body = message.body
        if message.is_data:
            place = leg.inspector.message(message)
            account = self.accounts[message.kind]
            if account.at is None or place > account.at:
                account.deliver(place)
            if not isinstance(leg.client, WebSocketClient):
                self._cover(leg, body["cursor"])
        elif message.kind == "gap":
            leg.inspector.gap(body)
        elif message.kind == "subscribed":
            channel = body["channel"]
            ask = leg.asked[channel].pop(0)
            account = self.accounts[channel]
            account.ticks = ticks_of(body)
            assert ticks_of(body) == ask.ticks
            if ask.since is None:
                # Nothing was promised, whatever a former subscription may have sent meanwhile.
                account.at = None
            leg.inspector.verdict(channel, ask, body["resume"])
            leg.live.add(channel)
        elif message.kind == "heartbeat":
            self._cover(leg, body["cursor"])
        else:
            assert message.kind == "connected"
            assert body["epoch"] == self.ledger.epochs[-1]

    def _cover(self, leg: Leg, cursor: str | None) -> None:
        """Take a cursor over for all channels: one on which they all depend, or a heartbeat's."""
        if cursor is not None:
            place = self.ledger.place(cursor)
            assert place < self.ledger.end
            for channel in leg.live:
                self.accounts[channel].cover(place)


async def _end(pump: asyncio.Task[None]) -> None:
    """End a task; what it says now is our own doing."""
    pump.cancel()
    await asyncio.gather(pump, return_exceptions=True)
