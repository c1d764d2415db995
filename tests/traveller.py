"""A client that keeps its cursors while it changes wires, by the rules of PROTOCOL.md section 3.

It believes nothing: each verdict, gap, message and cursor is held against the ledger.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping

import httpx
from attrs import define, field, frozen

from tests.clients import Client, Message, PollClient, SseClient, Want, WebSocketClient
from tests.ledger import BEFORE_ALL, TICK_MS, Account, Gap, Ledger, Place
from tests.received import Body

# PROTOCOL.md 3: what a cursor may have missed at most, to be resumed; and 6: what a reader may.
RESUMED_MESSAGES = 360
RESUMED_BYTES = 1024 * 1024
CAUGHT_UP_MESSAGES = 30
# More than a message has beside its padding.
ENVELOPE = 400
PATIENCE_S = 10.0
# Room for whoever reads on: with a small buffer the kernel waits 200 ms between two segments.
WIDE = 1024 * 1024


@frozen
class Ask:
    """A subscribe that was sent, and how far the log had come by then."""

    ticks: int
    since: Place | None
    head: int


@define
class Order:
    """What may still come on one connection, or in one answer to a poll.

    ``high`` is the place of the newest message of all channels, ``highs`` of each; ``promised``
    are the reasons of the gaps still to come, ``openings`` the channels to begin with a snapshot.
    """

    high: Place = BEFORE_ALL
    highs: dict[str, Place] = field(factory=dict)
    promised: dict[str, str] = field(factory=dict)
    openings: set[str] = field(factory=set)


@define(eq=False)
class Leg:
    """One connection: what was asked on it, and the channels for which that was answered.

    Once it was ``left`` nothing is heard any more, so the cursors stand still.
    """

    client: Client
    order: Order = field(factory=Order)
    asked: defaultdict[str, list[Ask]] = field(factory=lambda: defaultdict(list))
    live: set[str] = field(factory=set)
    reading: asyncio.Event = field(factory=asyncio.Event)
    pump: asyncio.Task[None] = field(init=False)
    left: bool = False

    @property
    def answered(self) -> bool:
        """Whether every subscribe was; a poll is answered when there is something to say."""
        return isinstance(self.client, PollClient) or not any(self.asked.values())


@define(eq=False)
class Traveller:
    """One client of several channels, on one wire at a time.

    ``padding`` is how many bytes the server puts into each message, ``history_s`` how much of the
    past it holds.
    """

    ledger: Ledger
    accounts: Mapping[str, Account]
    history_s: int
    padding: int
    leg: Leg | None = None
    _texts: dict[tuple[str, int], str] = field(factory=dict)
    _news: asyncio.Event = field(factory=asyncio.Event)

    # What it does

    @property
    def lowest(self) -> Place | None:
        """The one cursor for SSE and long-poll; one of a former life of the log is the lower."""
        return min((a.at for a in self.accounts.values() if a.at is not None), default=None)

    async def board(
        self, client: Client, ticks: Mapping[str, int], *, header: bool = False, wait: float = 25
    ) -> None:
        """Go on with a fresh client from where the last one ended.

        ``ticks`` is the interval of each channel; ``header`` has an event stream resumed as an
        EventSource does it, ``wait`` is how many seconds a poll may be held.
        """
        self.leg = leg = Leg(client)
        leg.reading.set()
        if isinstance(client, WebSocketClient):
            for channel in self.accounts:
                await self._subscribe(leg, client, channel, ticks[channel])
        else:
            await self._request(leg, ticks, header=header)
        leg.pump = asyncio.ensure_future(self._pump(leg, wait))

    async def leave(self, *, abruptly: bool) -> None:
        """Leave the wire; what is still on it is lost."""
        leg, self.leg = self.leg, None
        if leg is not None:
            leg.left = True
            if not isinstance(leg.client, PollClient):
                leg.pump.cancel()
                await asyncio.wait([leg.pump])
            # A poll that was cancelled has closed its socket: too late for a RST.
            await (leg.client.reset() if abruptly else leg.client.aclose())
            leg.pump.cancel()
            await asyncio.wait([leg.pump])
            if not leg.pump.cancelled():
                leg.pump.result()

    async def resubscribe(self, channel: str, ticks: int) -> None:
        """Replace a subscription of a WebSocket, from its own cursor; elsewhere do nothing."""
        if self.leg is not None and isinstance(self.leg.client, WebSocketClient):
            await self._subscribe(self.leg, self.leg.client, channel, ticks)

    async def unsubscribe(self, channel: str) -> None:
        """Give a channel of a WebSocket back, keeping its cursor; elsewhere do nothing."""
        if self.leg is not None and isinstance(self.leg.client, WebSocketClient):
            leg = self.leg
            await self._wait(leg, lambda: leg.answered)
            leg.live.discard(channel)
            await self.leg.client.unsubscribe(channel)

    async def ping(self) -> None:
        """Ask for a heartbeat, where that is possible."""
        if self.leg is not None and isinstance(self.leg.client, WebSocketClient):
            await self.leg.client.send({"type": "ping"})

    def stall(self) -> None:
        """Read nothing any more until the next arrival."""
        if self.leg is not None:
            self.leg.reading.clear()

    async def arrive(self) -> None:
        """Read until everything that is due was delivered or declared."""
        if self.leg is not None:
            self.leg.reading.set()
            await self._wait(self.leg, self._arrived)

    def _arrived(self) -> bool:
        assert self.leg is not None
        return self.leg.answered and all(map(self._complete, self.leg.live))

    def _complete(self, channel: str) -> bool:
        account = self.accounts[channel]
        last = self.ledger.last_due(channel, account.ticks)
        return last is None or (account.at is not None and account.at >= last)

    async def _wait(self, leg: Leg, condition: Callable[[], bool]) -> None:
        leg.client.widen(WIDE)
        leg.reading.set()
        async with asyncio.timeout(PATIENCE_S):
            while not condition():
                self._news.clear()
                news = asyncio.ensure_future(self._news.wait())
                await asyncio.wait([news, leg.pump], return_when=asyncio.FIRST_COMPLETED)
                news.cancel()
                if leg.pump.done():
                    leg.pump.result()

    # What it asks for

    async def _subscribe(
        self, leg: Leg, client: WebSocketClient, channel: str, ticks: int
    ) -> None:
        since = self.accounts[channel].at
        leg.live.discard(channel)
        leg.asked[channel].append(Ask(ticks, since, self.ledger.head))
        await client.subscribe(Want(channel, ticks * TICK_MS), since=self._cursor(since))

    async def _request(self, leg: Leg, ticks: Mapping[str, int], *, header: bool) -> None:
        since = self.lowest
        self._ask_for_all(leg, ticks)
        wants = [Want(channel, ticks[channel] * TICK_MS) for channel in self.accounts]
        if header and since is not None and isinstance(leg.client, SseClient):
            leg.client.last_event_id = self.ledger.cursor(since)
            # The header wins over whatever the URL said once.
            await leg.client.subscribe(*wants, since=f"{self.ledger.epochs[0]}:0")
        else:
            await leg.client.subscribe(*wants, since=self._cursor(since))

    def _ask_for_all(self, leg: Leg, ticks: Mapping[str, int]) -> None:
        since = self.lowest
        leg.live = set(self.accounts)
        for channel, account in self.accounts.items():
            if account.at is None:
                # By sending a cursor the client says that it has this channel so far.
                account.at = since
            account.ticks = ticks[channel]
            leg.asked[channel] = [Ask(ticks[channel], since, self.ledger.head)]

    def _cursor(self, place: Place | None) -> str | None:
        return None if place is None else self.ledger.cursor(place)

    # What it hears

    async def _pump(self, leg: Leg, wait: float) -> None:
        try:
            while not leg.left:
                await leg.reading.wait()
                if isinstance(leg.client, PollClient):
                    await self._poll(leg, leg.client, wait)
                else:
                    self._hear(leg, await leg.client.receive())
                self._news.set()
        except httpx.TransportError:
            # Of a poll that we are tearing down.
            if not leg.left:
                raise

    async def _poll(self, leg: Leg, client: PollClient, wait: float) -> None:
        answer = await client.poll(wait=wait)
        if not leg.left:
            leg.order = Order()
            ticks = {channel: asks[0].ticks for channel, asks in leg.asked.items()}
            for channel in self.accounts:
                self._judge(leg, channel, answer.body["resume"][channel])
            for message in answer.messages:
                self._hear(leg, message)
            self._cover(leg, answer.body["cursor"])
            self._ask_for_all(leg, ticks)

    def _hear(self, leg: Leg, message: Message) -> None:
        body = message.body
        if message.is_data:
            self._receive(leg, message)
        elif message.kind == "gap":
            self._gap(leg, body)
        elif message.kind == "subscribed":
            self.accounts[body["channel"]].ticks = body["intervalMs"] // TICK_MS
            # On this wire all begins anew: recovered messages may be older than those before.
            leg.order.high = BEFORE_ALL
            self._judge(leg, body["channel"], body["resume"])
        elif message.kind == "heartbeat":
            self._cover(leg, body["cursor"])
        else:
            assert body["type"] == "connected"
            assert body["epoch"] == self.ledger.epochs[-1]

    def _judge(self, leg: Leg, channel: str, resume: Body) -> None:
        """Hold the answer to a subscribe against the table of section 3."""
        account, ask, order = self.accounts[channel], leg.asked[channel].pop(0), leg.order
        assert account.ticks == ask.ticks
        leg.live.add(channel)
        reasons = self._reasons(account, ask, resume["missed"])
        assert resume["reason"] in reasons, f"{ask}: {resume}, not {reasons}"
        assert resume["recovered"] is (resume["reason"] == "ok")
        order.highs.pop(channel, None)
        order.promised.pop(channel, None)
        if resume["recovered"] and ask.since is not None:
            order.highs[channel] = ask.since
        else:
            order.openings.add(channel)
            if ask.since is not None:
                order.promised[channel] = resume["reason"]

    def _reasons(self, account: Account, ask: Ask, missed: int | None) -> set[str]:
        life = self.ledger.life
        if ask.since is None or ask.since[0] != life:
            assert missed is None
            return {"first" if ask.since is None else "epoch_changed"}
        # What is published while the question is on its way may count or not.
        heads = (ask.head, self.ledger.head)
        least, most = (
            len(self.ledger.owed(account.channel, ask.ticks, ask.since, (life, head + 1)))
            for head in heads
        )
        if not self._held(account.channel, ask.since):
            assert missed is None or least <= missed <= most
            return {"ok", "too_old"}
        assert missed is not None, "what is held can be counted"
        assert least <= missed <= most
        allowed = set()
        if least <= RESUMED_MESSAGES and least * self.padding <= RESUMED_BYTES:
            allowed.add("ok")
        if most > RESUMED_MESSAGES or most * (self.padding + ENVELOPE) > RESUMED_BYTES:
            allowed.add("too_old")
        return allowed

    def _held(self, channel: str, since: Place) -> bool:
        """Tell whether everything above a cursor is young enough to be held for certain."""
        missed = self.ledger.between(channel, since, (since[0], self.ledger.head + 1))
        return not missed or missed[0].tick >= missed[-1].tick - self.history_s

    def _gap(self, leg: Leg, body: Body) -> None:
        channel, reason, missed = body["channel"], body["reason"], body["missed"]
        account, order = self.accounts[channel], leg.order
        low, high = self.ledger.place(body["from"]), self.ledger.place(body["to"])
        owed = self.ledger.owed(channel, account.ticks, low, high)
        assert order.highs.get(channel, BEFORE_ALL) < high, "a gap comes before the message `to`"
        assert order.high <= low, "a gap comes before any message above its `from`"
        if reason in {"epoch_changed", "too_old"}:
            assert order.promised.pop(channel) == reason
        elif reason == "slow":
            assert self._behind(low) > CAUGHT_UP_MESSAGES
        else:
            assert self.ledger.entry(channel, high).hole == reason
            assert low == (high[0], high[1] - 1)
        if missed is not None or (reason in {"slow", "too_old"} and self._held(channel, low)):
            assert missed == len(owed), f"{body} misses {owed}"
        account.gaps.append(Gap(reason, low, high))

    def _behind(self, low: Place) -> int:
        head = (self.ledger.life, self.ledger.head + 1)
        return sum(
            len(self.ledger.owed(channel, account.ticks, low, head))
            for channel, account in self.accounts.items()
        )

    def _receive(self, leg: Leg, message: Message) -> None:
        channel, body, order = message.kind, message.body, leg.order
        account, place = self.accounts[channel], self.ledger.place(body["cursor"])
        self._check_payload(account, place, message)
        assert channel not in order.promised, "a gap was promised first"
        if channel not in order.openings:
            assert self.ledger.entry(channel, place).due(account.ticks), "off the grid"
        assert place > order.highs.get(channel, BEFORE_ALL), "no repeat on one connection"
        assert place > order.high, "messages of all channels come in the order of seq"
        order.openings.discard(channel)
        order.high = order.highs[channel] = place
        if account.above(place):
            account.deliver(place)
        if not isinstance(leg.client, WebSocketClient):
            self._cover(leg, body["cursor"])

    def _check_payload(self, account: Account, place: Place, message: Message) -> None:
        body = message.body
        text = self._texts.setdefault((body["cursor"], account.ticks), message.text)
        assert text == message.text, "a cohort's message is the same bytes on every wire"
        envelope = {key: body[key] for key in ("timestamp", "cursor", "intervalMs", "windowMs")}
        numbers = {key: body["data"][key] for key in ("value", "span")}
        expected = self.ledger.message(account.channel, place, account.ticks)
        assert envelope | numbers == expected
        assert body["data"]["padding"] == "x" * self.padding

    def _cover(self, leg: Leg, cursor: str | None) -> None:
        """Believe that all channels were delivered up to a cursor, and check it."""
        if cursor is not None:
            place = self.ledger.place(cursor)
            assert place <= (self.ledger.life, self.ledger.head)
            for channel in leg.live:
                self.accounts[channel].cover(place)
