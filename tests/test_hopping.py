"""A client hops between the transports at random and loses nothing: PROTOCOL.md section 3.

Hypothesis moves a real client on real sockets: it drops connections, stalls, restarts the log and
publishes in between. What was published is known independently of the product; every message must
come exactly once and in order, or lie in a declared gap.

The run is the same every time; ``PULSEWIRE_TESTS=thorough`` makes it long and random.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Coroutine
from typing import Any, TypeVar, cast

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from app.core.broadcaster import Broadcaster
from app.settings import Settings
from schema.fields import GapReason
from tests.clients import WIRES, connect
from tests.ledger import Account, Ledger
from tests.serving import DrivenHub, driven_hub, serving
from tests.synthetic import SyntheticSource
from tests.traveller import Traveller

THOROUGH = os.environ.get("PULSEWIRE_TESTS") == "thorough"
CHANNELS = ("alpha", "beta")
# Ticks of the second channel; the first has every tick.
BETA_TICKS = (3, 5)
HOLES = (GapReason.SOURCE, GapReason.SUSPEND, GapReason.OVERLOAD, GapReason.IDLE)
# Sent as one go, so many are too many for a live reader, and for a cursor.
MUCH = 400
RCVBUF = 4096

# Made once, by the bytes that fill a message: each has message classes of its own.
SOURCES = {
    padding: [SyntheticSource(channel, padding=padding) for channel in CHANNELS]
    for padding in (0, 5000)
}

T = TypeVar("T")

beta_ticks = st.sampled_from(BETA_TICKS)
turns = st.integers(0, 6)


class Phoenix:
    """The hub that the server sees; the log restarts by an exchange of the hub behind it."""

    def __init__(self, hub: DrivenHub) -> None:
        self.hub = hub

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the hub has
        return getattr(self.hub, name)


class Hopping(RuleBasedStateMachine):
    """Two channels at different intervals, one client, three transports."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.stack = contextlib.AsyncExitStack()
        self.tick = 0
        self.wire: str | None = None

    @initialize(history=st.sampled_from([60, 900]), padding=st.sampled_from([*SOURCES]))
    def start(self, history: int, padding: int) -> None:
        """Start a server; a short history forgets, padding fills the socket of who stalls."""
        self.settings = Settings(history=history)
        self.padding = padding
        self.ledger = Ledger()
        accounts = {channel: Account(self.ledger, channel) for channel in CHANNELS}
        self.traveller = Traveller(self.ledger, accounts, history, padding)
        self.phoenix = Phoenix(self._new_hub())
        hub = cast("Broadcaster", self.phoenix)
        self.served = self._run(self.stack.enter_async_context(serving(hub, self.settings)))

    def _run(self, doing: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(doing)

    def _new_hub(self) -> DrivenHub:
        self.tick = 0
        self.ledger.begin(f"life{len(self.ledger.epochs)}")
        sources = SOURCES[self.padding]
        return driven_hub(sources, self.settings, epoch=self.ledger.epochs[-1])

    # What the client does

    @rule(
        wire=st.sampled_from(WIRES),
        ticks=beta_ticks,
        abruptly=st.booleans(),
        header=st.booleans(),
        wait=st.sampled_from([0, 0.002, 25]),
        meanwhile=st.none() | turns,
    )
    def hop(
        self,
        *,
        wire: str,
        ticks: int,
        abruptly: bool,
        header: bool,
        wait: float,
        meanwhile: int | None,
    ) -> None:
        """Go to a wire, the same or another; perhaps something is published meanwhile."""
        self._run(self.traveller.leave(abruptly=abruptly))
        self._run(self._board(wire, ticks, meanwhile, header=header, wait=wait))
        self.wire = wire

    async def _board(
        self, wire: str, ticks: int, meanwhile: int | None, *, header: bool, wait: float
    ) -> None:
        client = await connect(wire, self.served, rcvbuf=RCVBUF)
        publishing = None
        if meanwhile is not None:
            publishing = asyncio.ensure_future(self._publish_later(meanwhile))
        wanted = dict(zip(CHANNELS, (1, ticks), strict=True))
        await self.traveller.board(client, wanted, header=header, wait=wait)
        if publishing is not None:
            await publishing

    async def _publish_later(self, turns_of_loop: int) -> None:
        for _ in range(turns_of_loop):
            await asyncio.sleep(0)
        await self._publish(1, CHANNELS, None, 0)

    @precondition(lambda self: self.wire is not None)
    @rule(abruptly=st.booleans())
    def drop(self, *, abruptly: bool) -> None:
        """Lose the connection, with all that is on it."""
        self._run(self.traveller.leave(abruptly=abruptly))
        self.wire = None

    @precondition(lambda self: self.wire is not None)
    @rule()
    def arrive(self) -> None:
        """Read all that is due."""
        self._run(self.traveller.arrive())

    @precondition(lambda self: self.wire is not None)
    @rule()
    def stall(self) -> None:
        """Read nothing any more, until the next arrival."""
        self.traveller.stall()

    @precondition(lambda self: self.wire == "websocket")
    @rule(channel=st.sampled_from(CHANNELS), ticks=beta_ticks)
    def resubscribe(self, channel: str, ticks: int) -> None:
        """Ask once more, perhaps for another interval."""
        self._run(self.traveller.resubscribe(channel, ticks))

    @precondition(lambda self: self.wire == "websocket")
    @rule(channel=st.sampled_from(CHANNELS))
    def unsubscribe(self, channel: str) -> None:
        """Give a channel back for a while."""
        self._run(self.traveller.unsubscribe(channel))

    @precondition(lambda self: self.wire == "websocket")
    @rule()
    def ping(self) -> None:
        """Ask for a heartbeat."""
        self._run(self.traveller.ping())

    # What the server does

    @rule(
        count=st.integers(1, 50),
        channels=st.sampled_from([CHANNELS, *((channel,) for channel in CHANNELS)]),
        skipped=st.integers(0, 7),
        hole=st.none() | st.sampled_from(HOLES),
        pause=turns,
    )
    def publish(
        self,
        count: int,
        channels: tuple[str, ...],
        skipped: int,
        hole: GapReason | None,
        pause: int,
    ) -> None:
        """Publish in one go, or with some turns of the loop between two publications."""
        self.tick += skipped
        self._run(self._publish(count, channels, hole, pause))

    @rule(pause=turns)
    def publish_apart(self, pause: int) -> None:
        """Publish the channels of one tick one after the other."""
        self.tick += 1
        self._run(self._publish_apart(pause))

    @rule()
    def publish_much(self) -> None:
        """Publish more than a reader or a cursor may miss."""
        self._run(self._publish(MUCH, CHANNELS, None, 0))

    async def _publish(
        self, count: int, channels: tuple[str, ...], hole: GapReason | None, pause: int
    ) -> None:
        for _ in range(count):
            self.tick += 1
            self._note(channels, hole)
            hole = None
            for _ in range(pause):
                await asyncio.sleep(0)

    async def _publish_apart(self, pause: int) -> None:
        for channel in CHANNELS:
            self._note((channel,), None)
            for _ in range(pause):
                await asyncio.sleep(0)

    def _note(self, channels: tuple[str, ...], hole: GapReason | None) -> None:
        newest = [self.ledger.newest(channel) for channel in channels]
        if any(entry is not None and entry.tick < self.tick - 1 for entry in newest):
            # A sampler never passes over a missing tick in silence.
            hole = hole or GapReason.SOURCE
        self.ledger.note(self.tick, channels, hole)
        self.phoenix.hub.tick(self.tick, *channels, hole=hole)

    @rule()
    def beat(self) -> None:
        """Let every stream have a heartbeat, as after a long silence."""
        for session in self.phoenix.hub.sessions:
            session.beat()

    @rule()
    def restart(self) -> None:
        """Restart with an empty log; all connections are cut."""
        self._run(self._restart())
        self.wire = None

    async def _restart(self) -> None:
        await self.traveller.leave(abruptly=True)
        await self.phoenix.hub.stop()
        self.phoenix.hub = self._new_hub()
        await self.phoenix.hub.start()

    def teardown(self) -> None:
        """Whatever happened: in the end all that was due is there."""
        try:
            self._run(self._finish())
        finally:
            self._run(self.stack.aclose())
            self.runner.close()

    async def _finish(self) -> None:
        try:
            if self.wire is None:
                await self._board("sse", BETA_TICKS[0], None, header=False, wait=0)
            await self._publish(max(BETA_TICKS), CHANNELS, None, 0)
            await self.traveller.arrive()
        finally:
            await self.traveller.leave(abruptly=False)


TestHopping = Hopping.TestCase
TestHopping.settings = settings(
    max_examples=1000 if THOROUGH else 40,
    stateful_step_count=60 if THOROUGH else 25,
    derandomize=not THOROUGH,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
