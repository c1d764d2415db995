"""Under pressure: no stream breaks, nothing is lost in silence, and who does not read hurts nobody.

With ``PULSEWIRE_TESTS=thorough`` the numbers are those that were promised, and it takes some
minutes; the figures are logged (``--log-cli-level=INFO``).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import psutil
import pytest
from attrs import define, field
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn import Config

from app.core.cache import FrameCache
from app.listen import raise_descriptor_limit
from app.server import make_config
from app.settings import Settings
from tests.raw import Piece, RawClient, open_raw
from tests.received import Message, seq_of
from tests.serving import DrivenHub, Served, driven_hub, serving
from tests.synthetic import SyntheticSource
from transports.base import DIRECT
from transports.connection import Direct
from transports.stall import StallWatch

FULL = os.environ.get("PULSEWIRE_TESTS") == "thorough"
WIRES = ("websocket", "sse")
SWALLOWED_MAX = 64 * 1024
# Two channels, and the 960 ticks that the ring has by default.
HELD = 2 * 960
DESCRIPTORS = Path("/proc/self/fd")

logger = logging.getLogger(__name__)


async def until(condition: Callable[[], object], patience_s: float = 20) -> None:
    """Wait until something has become true."""
    end = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < end, "it never came true"
        await asyncio.sleep(0.001)


@contextlib.contextmanager
def leaving(clients: Sequence[RawClient]) -> Iterator[None]:
    """Close clients in the end."""
    try:
        yield
    finally:
        for client in clients:
            client.close()


def connections(served: Served) -> list[Direct]:
    """Return the server's connections, as its protocol classes know them."""
    assert served.server is not None
    return [cast("Direct", each) for each in served.server.server_state.connections]


def fanned(hub: DrivenHub) -> int:
    """Count the sinks in the fans."""
    return sum(len(fan) for cohort in hub._cohorts.values() for fan in cohort.fans.values())


def without_sink(app: ASGIApp) -> ASGIApp:
    """Hide the direct path from an application."""

    async def hidden(scope: Scope, receive: Receive, send: Send) -> None:
        scope.get("extensions", {}).pop(DIRECT, None)
        await app(scope, receive, send)

    return hidden


@pytest.fixture(params=["direct", "ordinary"])
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways through our protocol classes."""

    def make(settings: Settings, app: ASGIApp, watch: StallWatch) -> Config:
        return make_config(settings, without_sink(app), watch)

    if request.param == "ordinary":
        monkeypatch.setattr("tests.serving.make_config", make)
    return str(request.param)


@pytest.fixture(params=WIRES)
def wire(request: pytest.FixtureRequest) -> str:
    """The wires of a stream."""
    return str(request.param)


def data_seqs(client: RawClient) -> list[int]:
    return [message.seq for message in client.messages if message.is_data]


def left_of(before: set[asyncio.Task[Any]]) -> list[asyncio.Task[Any]]:
    """Return the tasks that are new, but for the one that sse-starlette has for all streams."""
    new = asyncio.all_tasks() - before
    return [task for task in new if "_shutdown_watcher" not in repr(task.get_coro())]


# Integrity


@define(eq=False)
class Grid:
    """What was published: both channels at each tick, so that seq tells all; and what is due."""

    channels: tuple[str, ...] = ("alpha", "beta")
    tick: int = 0
    due: dict[tuple[str, int], list[int]] = field(factory=dict)

    def __attrs_post_init__(self) -> None:
        self.due = {(channel, k): [] for channel in self.channels for k in (1, 2, 3)}

    def publish(self, hub: DrivenHub) -> None:
        """Publish a tick."""
        self.tick += 1
        for (channel, ticks), seqs in self.due.items():
            if self.tick == 1 or self.tick % ticks == 0:
                seqs.append(2 * self.tick - 1 + self.channels.index(channel))
        hub.tick(self.tick)


@define(eq=False)
class Account:
    """One channel of one client, held against the grid: ``last`` is the newest seq it has.

    ``free`` is set while a snapshot may come, which need not be due.
    """

    due: list[int]
    last: int | None = None
    free: bool = True
    gap: tuple[int, int, int] | None = None
    got: int = 0
    missed: int = 0

    def between(self, low: int, high: int) -> int:
        """Count what is due above one seq and below another."""
        return bisect_left(self.due, high) - bisect_right(self.due, low)

    def declare(self, gap: Message) -> None:
        """Take a gap: it begins where the client is, and its count is exact."""
        low, high = seq_of(gap.body["from"]), seq_of(gap.body["to"])
        assert self.gap is None
        assert self.last is not None
        assert self.between(self.last, low + 1) == 0, "something before the gap is missing"
        # What is no longer held cannot be counted.
        countable = gap.body["reason"] != "too_old" or high - low <= HELD
        assert gap.body["missed"] == (self.between(low, high) if countable else None)
        self.gap = (low, high, gap.body["missed"])

    def deliver(self, seq: int, *, heritage: bool) -> None:
        """Take a message: it is above the last, and nothing is missing but what was declared."""
        if self.last is None:
            self.last = seq - 1
        assert seq > self.last
        lost = self.between(self.last, seq)
        if self.gap is None:
            assert lost == 0 or heritage, f"{lost} lost in silence between {self.last} and {seq}"
        else:
            assert self.gap[1] == seq, "a gap precedes the message that it leads to"
        assert self.free or self.due[bisect_left(self.due, seq)] == seq
        self.got += 1
        self.missed += lost
        self.last, self.gap, self.free = seq, None, False


@define(eq=False)
class Witness:
    """A client that reads at its own pace, talks, and checks each message as it comes."""

    raw: RawClient
    number: int
    accounts: dict[str, Account]
    heritage: bool = False
    newest: int = 0
    asked: list[tuple[str, int]] = field(factory=list)
    acknowledged: int = 0
    kinds: dict[str, int] = field(factory=dict)

    def see(self, piece: Piece) -> None:
        """Check a message against what was published."""
        assert piece.kind == "message"
        kind, seq, message = read(self.raw, piece)
        self.kinds[kind] = self.kinds.get(kind, 0) + 1
        if seq:
            self.accounts[kind].deliver(seq, heritage=self.heritage)
            # Of all channels together the order is that of seq, but for what was asked for again.
            assert seq > self.newest or self.acknowledged
            self.newest = seq
        elif kind == "gap":
            self.accounts[message.body["channel"]].declare(message)
        elif kind == "subscribed":
            self._resumed(message)

    def _resumed(self, message: Message) -> None:
        if self.asked:
            channel, since = self.asked.pop(0)
            assert channel == message.body["channel"]
            account = self.accounts[channel]
            account.last, account.free = since, not message.body["resume"]["recovered"]
            self.acknowledged += 1

    async def talk(self, chance: random.Random) -> None:
        """Say something that is answered among the data."""
        channel = chance.choice(list(self.accounts))
        last = self.accounts[channel].last
        what = chance.randrange(3)
        if what == 0:
            await self.raw.say('{"type":"ping"}')
        elif what == 1 or last is None or self.heritage:
            await self.raw.say("nonsense")
        elif not self.asked:
            # Resume in the middle of the stream: what is under way comes once more after this.
            interval = 1000 if channel == "alpha" else 2000
            since = f"{EPOCH}:{last}"
            self.asked.append((channel, last))
            await self.raw.say(
                f'{{"type":"subscribe","channel":"{channel}","interval":{interval},"since":"{since}"}}'
            )

    def done(self) -> bool:
        """Tell whether it has the newest message of each channel."""
        return all(account.last == account.due[-1] for account in self.accounts.values())

    def dawdle(self, tick: int) -> None:
        """Read less than what is published, and for long not at all."""
        if (tick + self.number * 7) % 300 < 200 and (tick + self.number) % 5 == 0:
            self.raw.read(1000)


EPOCH = "pressure"
_read: dict[bytes, tuple[str, int, Message]] = {}


def read(raw: RawClient, piece: Piece) -> tuple[str, int, Message]:
    """Read a message, its type and seq; one that many get is parsed once."""
    known = _read.get(piece.data)
    if known is None:
        if len(_read) > 2_000:
            _read.clear()
        message = raw.decoder.message(piece)
        known = (message.kind, message.seq if message.is_data else 0, message)
        _read[piece.data] = known
    return known


async def witness(served: Served, grid: Grid, number: int, *, slow: bool) -> Witness:
    """Let a client in, of one of several kinds."""
    wire = WIRES[number % 2]
    heritage = wire == "websocket" and number % 5 == 0
    wanted = [{"alpha": 1}, {"alpha": 1, "beta": 2}, {"beta": 2}][number // 3 % 3]
    channels = ",".join(f"{channel}:{ticks}000" for channel, ticks in wanted.items())
    raw = await open_raw(wire, served, channels, heritage=heritage, rcvbuf=4096 if slow else None)
    accounts = {channel: Account(grid.due[channel, ticks]) for channel, ticks in wanted.items()}
    client = Witness(raw, number, accounts, heritage=heritage)
    for piece in raw.pieces:
        client.see(piece)
    raw.pieces.clear()
    raw.on_piece, raw.polite = client.see, True
    return client


@pytest.mark.timeout(1800 if FULL else 60)
async def test_every_stream_is_whole_and_tells_what_it_lacks() -> None:
    """Two hundred clients, a third of them slow, all of them talking."""
    messages = 50_000 if FULL else 2_000
    chance, grid = random.Random(1), Grid()
    hub = driven_hub(
        [SyntheticSource(name, padding=100) for name in grid.channels], Settings(), EPOCH
    )
    async with serving(hub) as served:
        grid.publish(hub)
        clients = [await witness(served, grid, n, slow=n % 3 == 2) for n in range(198)]
        slow, fast = clients[2::3], [c for n, c in enumerate(clients) if n % 3 != 2]
        with leaving([client.raw for client in clients]):
            for client in fast:
                client.raw.listen()
            talkers = [client for client in clients if client.raw.decoder.WIRE == "websocket"]
            while grid.tick < messages // 2:
                grid.publish(hub)
                if grid.tick % 4 == 0:
                    await chance.choice(talkers).talk(chance)
                for client in slow:
                    client.dawdle(grid.tick)
                await asyncio.sleep(0)
            for client in slow:
                client.raw.widen(1 << 20)
                client.raw.listen()
            for client in clients:
                await until(client.done)
        gaps = sum(client.kinds.get("gap", 0) for client in slow)
        missed = sum(a.missed for client in slow for a in client.accounts.values())
        got = sum(a.got for client in clients for a in client.accounts.values())
        answers = sum(c.kinds.get("error", 0) + c.kinds.get("heartbeat", 0) for c in clients)
        again = sum(client.acknowledged for client in clients)
        logger.info(
            "%d messages: %d delivered, %d gaps, %d missed, %d answers, %d resumed",
            *(messages, got, gaps, missed, answers, again),
        )
        for client in fast:
            assert "gap" not in client.kinds
            assert not any(account.missed for account in client.accounts.values())
        assert min(gaps, missed, answers, again) > 0


# One who stops reading


async def test_little_is_swallowed_for_one_who_stops_reading(wire: str, path: str) -> None:
    """What it missed comes if that is little, else a gap and the newest, whose count is exact."""
    hub = driven_hub([SyntheticSource("alpha", padding=400)], Settings())
    async with serving(hub) as served:
        hub.tick(1)
        few, many = clients = [await open_raw(wire, served, rcvbuf=4096) for _ in range(2)]
        with leaving(clients):
            await until(lambda: len(hub.sessions) == 2)
            tick = 1
            while not all(c.buffered() for c in connections(served)) and tick < 1000:
                tick += 1
                hub.tick(tick)
                await asyncio.sleep(0.001)
            for late in range(tick + 1, tick + 6):
                hub.tick(late)
            few.widen(1 << 20)
            few.listen()
            await until(lambda: data_seqs(few)[-1:] == [tick + 5])
            assert data_seqs(few) == list(range(data_seqs(few)[0], tick + 6))
            assert "gap" not in few.kinds()
            for late in range(tick + 6, tick + 501):
                hub.tick(late)
            many.widen(1 << 20)
            many.listen()
            await until(lambda: data_seqs(many)[-1:] == [tick + 500])
            kinds = many.kinds()
            gap = many.messages[kinds.index("gap")].body
            *before, newest = data_seqs(many)
            assert before == list(range(before[0], before[-1] + 1))
            assert kinds[-2:] == ["gap", "alpha"]
            assert gap["missed"] == newest - before[-1] - 1 >= 400
            swallowed = sum(len(piece.data) + 8 for piece in many.pieces[:-2])
            logger.info("%s, %s: %d bytes swallowed", wire, path, swallowed)
            assert swallowed <= SWALLOWED_MAX


async def test_stalled_readers_are_let_go(path: str) -> None:
    """On either path; of those who are, no task is left, and nothing in the kernel."""
    settings = Settings(stall_timeout=1)
    hub = driven_hub([SyntheticSource("alpha", padding=4000)], settings)
    async with serving(hub, settings) as served:
        hub.tick(1)
        before = asyncio.all_tasks()
        clients = [await open_raw(wire, served, rcvbuf=4096) for wire in WIRES * 3]
        with leaving(clients):
            await until(lambda: len(hub.sessions) == 6)
            began, tick = time.monotonic(), 1
            while hub.sessions:
                tick += 1
                hub.tick(tick)
                await asyncio.sleep(0.02)
                assert time.monotonic() - began < settings.stall_timeout + 5
            await until(lambda: not connections(served))
            await until(lambda: not left_of(before))
            # Not even as an orphan that still tries to send.
            held = psutil.net_connections("tcp4")
            assert not [c for c in held if c.laddr[1:] == (served.port,) and c.raddr]


@define(eq=False)
class Gauge:
    """How late healthy readers have their messages, and when others came to a stand and went."""

    served: Served
    hub: DrivenHub
    hertz: int
    tick: int = 1
    published: float = field(factory=time.monotonic)
    # How many messages were so late, in tenths of a ms.
    late: list[int] = field(factory=lambda: [0] * 100_000)
    stood: dict[Direct, float] = field(factory=dict)
    lasted: list[float] = field(factory=list)

    def see(self, piece: Piece) -> None:
        """Take the time of a message."""
        assert piece.kind == "message"
        late = round((time.monotonic() - self.published) * 10_000)
        self.late[min(late, len(self.late) - 1)] += 1

    async def drive(self, seconds: int) -> None:
        """Publish, and look who has come to a stand and who is gone."""
        for _ in range(seconds * self.hertz):
            began = self.published = time.monotonic()
            self.tick += 1
            self.hub.tick(self.tick)
            here = connections(self.served)
            for connection in here:
                if connection.session is not None and not connection.clear:
                    self.stood.setdefault(connection, began)
            for connection in self.stood.keys() - set(here):
                self.lasted.append(began - self.stood.pop(connection))
            await asyncio.sleep(max(0, began + 1 / self.hertz - time.monotonic()))

    async def fill(self) -> None:
        """Publish as much as is ever kept of the log."""
        while self.tick < 250:
            self.tick += 1
            self.hub.tick(self.tick)
            await asyncio.sleep(0)

    async def settle(self) -> None:
        """Wait until nothing comes any more, and forget it."""
        before = -1
        while before != sum(self.late):
            before = sum(self.late)
            await asyncio.sleep(0.05)
        self.late = [0] * len(self.late)

    def p99(self) -> float:
        """Return the 99th percentile of the lateness in ms, and begin anew."""
        rank, found = sum(self.late) * 99 // 100, 0
        while rank > 0:
            rank -= self.late[found]
            found += 1
        self.late = [0] * len(self.late)
        return found / 10


@pytest.mark.timeout(300 if FULL else 60)
async def test_stalled_readers_cost_the_others_nothing_and_are_let_go() -> None:
    """Memory stays as it was, and so do the tasks and descriptors of those who read."""
    raise_descriptor_limit()
    count, hertz, seconds = (500, 20, 60) if FULL else (100, 40, 2)
    settings = Settings(stall_timeout=20 if FULL else 2, history=60)
    hub = driven_hub([SyntheticSource("alpha", padding=400)], settings)
    # Or it would be the kept frames that grow, up to their own bound, whoever reads.
    hub._cohorts._cache = FrameCache(256 * 1024)
    async with serving(hub, settings) as served:
        gauge = Gauge(served, hub, hertz)
        hub.tick(1)
        healthy = [await open_raw(WIRES[n % 2], served) for n in range(count)]
        with leaving(healthy):
            for client in healthy:
                client.pieces.clear()
                client.on_piece, client.polite = gauge.see, True
                client.listen()
            await until(lambda: fanned(hub) == count)
            await gauge.fill()
            await gauge.settle()
            await gauge.drive(seconds)
            alone = gauge.p99()
            before = asyncio.all_tasks(), descriptors()
            stalled = [await open_raw(WIRES[n % 2], served, rcvbuf=4096) for n in range(count)]
            with leaving(stalled):
                await until(lambda: fanned(hub) == 2 * count)
                while len(gauge.stood) < count:
                    await gauge.drive(1)
                    assert gauge.tick < 2000 + seconds * hertz, "not all have come to a stand"
                await gauge.settle()
                resident = [psutil.Process().memory_info().rss]
                while gauge.stood:
                    await gauge.drive(1)
                    resident.append(psutil.Process().memory_info().rss)
                    assert len(resident) < settings.stall_timeout + 10, "not all have gone"
                beside = gauge.p99()
            await gauge.drive(1)
            grown = max(resident) - resident[0]
            logger.info(
                "%d stalled among %d: gone after %.1f to %.1f s, %d by the watch; p99 lateness "
                "%.1f ms, alone %.1f ms; %d KiB more in memory",
                *(len(gauge.lasted), count, min(gauge.lasted), max(gauge.lasted)),
                *(served.server._watch.evicted if served.server else 0, beside, alone),
                grown // 1024,
            )
            assert len(gauge.lasted) == count
            assert max(gauge.lasted) < settings.stall_timeout + 5
            assert grown < 1024 * 1024
            assert len(hub.sessions) == len(connections(served)) == fanned(hub) == count
            assert not left_of(before[0])
            assert descriptors() == before[1]


def descriptors() -> int:
    """Count this process's open descriptors."""
    return len(list(DESCRIPTORS.iterdir()))


@pytest.mark.timeout(120)
async def test_a_slow_link_is_no_stall() -> None:
    """64 kbit/s, and 200 kB of history: many stall timeouts long there is always some progress."""
    settings = Settings(stall_timeout=1)
    hub = driven_hub([SyntheticSource("alpha", padding=3_300)], settings)
    async with serving(hub, settings) as served:
        for tick in range(1, 64):
            hub.tick(tick)
        clients = [await open_raw(wire, served, rcvbuf=4096, query="&history=60") for wire in WIRES]
        with leaving(clients):
            began, turn = time.monotonic(), 0
            while turn < (300 if FULL else 60):
                turn += 1
                for client in clients:
                    client.read(800)
                if turn % 10 == 0:
                    hub.tick(63 + turn // 10)
                await asyncio.sleep(max(0, began + turn / 10 - time.monotonic()))
            assert len(hub.sessions) == 2
            for client in clients:
                assert client.over is None
                logger.info("%s: %d bytes at 64 kbit/s", client.decoder.WIRE, client.taken)
                client.widen(1 << 20)
                client.listen()
            newest = hub.log.head
            await until(lambda: all(data_seqs(client)[-1:] == [newest] for client in clients))
            for client in clients:
                # A ping is in time, too, for a reader that has not come so far.
                kinds = [kind for kind in client.kinds() if kind != "ping"]
                assert kinds[:4] == ["connected", "subscribed", "history", "alpha"]
                assert len(client.messages[2].text) > 200_000
