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

import pytest
from attrs import frozen
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from app.core.broadcaster import Broadcaster
from app.settings import Settings
from schema.fields import GapReason
from tests.clients import WIRES, Client
from tests.ledger import Account, Ledger
from tests.serving import TLS_SERVERS, DrivenHub, driven_hub, serving
from tests.synthetic import SyntheticSource
from tests.traveller import ROAMING, Traveller

THOROUGH = os.environ.get("PULSEWIRE_TESTS") == "thorough"
# A failure is made small before it is told, which may take minutes.
pytestmark = pytest.mark.timeout(0 if THOROUGH else 600)
# The direct path, and the ordinary one; without TLS and with.
SERVERS = ("httptools", "h11", *TLS_SERVERS)
CHANNELS = ("alpha", "beta")
# Ticks of the second channel; the first has every tick.
BETA_TICKS = (3, 5)
# What is published at one tick: both channels at once or one after the other, or only one.
Together = tuple[tuple[str, ...], ...]
TOGETHER: tuple[Together, ...] = (
    (CHANNELS,),
    (("alpha",), ("beta",)),
    (("beta",), ("alpha",)),
    (("alpha",),),
    (("beta",),),
)
HOLES = (GapReason.SOURCE, GapReason.SUSPEND, GapReason.OVERLOAD, GapReason.IDLE)
# Among them more than a live reader may fall behind, and more than a cursor may.
COUNTS = (1, 1, 2, 3, 5, 8, 13, 21, 31, 50, 400)
# Of a client that is soon full when it does not read.
NARROW = 16 * 1024
# Longer than any stream may be silent.
SILENCE_S = 60

# Made once, by the bytes that fill a message: each has message classes of its own.
SOURCES = {
    padding: [SyntheticSource(channel, padding=padding) for channel in CHANNELS]
    for padding in (0, 10_000)
}

T = TypeVar("T")


@frozen
class Burst:
    """Publications at ``count`` ticks, after some that were ``skipped``.

    What is ``together`` is published in one go, and between two of them the loop makes a
    ``pause`` of so many turns.
    """

    count: int = 1
    together: Together = (CHANNELS,)
    skipped: int = 0
    hole: GapReason | None = None
    pause: int = 0


beta_ticks = st.sampled_from(BETA_TICKS)
turns = st.integers(0, 6)
bursts = st.builds(
    Burst,
    count=st.sampled_from(COUNTS),
    together=st.sampled_from(TOGETHER),
    skipped=st.sampled_from([0, 0, 0, 1, 7]),
    hole=st.none() | st.sampled_from(HOLES),
    pause=turns,
)


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
        self.asleep: set[str] = set()

    @initialize(
        server=st.sampled_from(SERVERS),
        history=st.sampled_from([60, 900]),
        padding=st.sampled_from([*SOURCES]),
    )
    def start(self, server: str, history: int, padding: int) -> None:
        """Start a server; a short history forgets, padding fills the socket of who stalls."""
        self.settings = Settings(history=history)
        self.ledger = Ledger(history, padding)
        accounts = {channel: Account(self.ledger, channel) for channel in CHANNELS}
        wanted = dict(zip(CHANNELS, (1, BETA_TICKS[0]), strict=True))
        self.traveller = Traveller(self.ledger, accounts, wanted)
        self.phoenix = Phoenix(self._new_hub())
        hub = cast("Broadcaster", self.phoenix)
        self.served = self._run(self.stack.enter_async_context(serving(hub, self.settings, server)))

    @property
    def wire(self) -> str | None:
        """The wire that the client is on, if any."""
        return self.traveller.wire

    def _run(self, doing: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(doing)

    def _new_hub(self) -> DrivenHub:
        self.tick = 0
        self.asleep.clear()
        sources = SOURCES[self.ledger.padding]
        return driven_hub(sources, self.settings, epoch=self.ledger.begin())

    # What the client does

    @rule(
        wire=st.sampled_from(WIRES),
        ticks=beta_ticks,
        abruptly=st.booleans(),
        header=st.booleans(),
        wait=st.sampled_from([0, 0.002, 25]),
        rcvbuf=st.sampled_from([None, NARROW]),
        away=st.none() | bursts,
        meanwhile=st.none() | bursts,
    )
    def hop(
        self,
        *,
        wire: str,
        ticks: int,
        abruptly: bool,
        header: bool,
        wait: float,
        rcvbuf: int | None,
        away: Burst | None,
        meanwhile: Burst | None,
    ) -> None:
        """Go to a wire, the same or another; something may be published before and meanwhile."""
        self._run(self.traveller.leave(abruptly=abruptly))
        self._run(self._publish(away))
        self.traveller.wanted["beta"] = ticks
        client = self._run(ROAMING[wire].connect(self.served, rcvbuf=rcvbuf))
        self._run(self._board(client, meanwhile, header=header, wait=wait))

    async def _board(
        self, client: Client, meanwhile: Burst | None, *, header: bool, wait: float
    ) -> None:
        boarding = self.traveller.board(client, header=header, wait=wait)
        await asyncio.gather(boarding, self._publish(meanwhile))

    @precondition(lambda self: self.wire is not None)
    @rule(abruptly=st.booleans())
    def drop(self, *, abruptly: bool) -> None:
        """Lose the connection, with all that is on it."""
        self._run(self.traveller.leave(abruptly=abruptly))

    @precondition(lambda self: self.wire is not None)
    @rule()
    def arrive(self) -> None:
        """Read all that is due; who waits for a source that sleeps has to wait for it to wake."""
        if self.asleep:
            self._run(self._publish(Burst()))
        self._run(self.traveller.arrive())

    @precondition(lambda self: self.wire is not None)
    @rule()
    def stall(self) -> None:
        """Read nothing any more, until the next arrival."""
        self.traveller.leg.reading.clear()

    @precondition(lambda self: self.wire == "websocket")
    @rule(channel=st.sampled_from(CHANNELS), ticks=beta_ticks)
    def resubscribe(self, channel: str, ticks: int) -> None:
        """Ask once more, perhaps for another interval."""
        self.traveller.wanted["beta"] = ticks
        self._run(self.traveller.resubscribe(channel))

    @precondition(lambda self: self.wire == "websocket")
    @rule(channel=st.sampled_from(CHANNELS))
    def unsubscribe(self, channel: str) -> None:
        """Give a channel back for a while."""
        self._run(self.traveller.unsubscribe(channel))

    # What the server does

    @rule(burst=bursts)
    def publish(self, burst: Burst) -> None:
        """Publish while the client is there, or is not."""
        self._run(self._publish(burst))

    async def _publish(self, burst: Burst | None) -> None:
        if burst is not None:
            await _turn(burst.pause)
            self.tick += burst.skipped
            for at in range(burst.count):
                self.tick += 1
                for channels in burst.together:
                    self._note(channels, burst.hole if at == 0 else None)
                    await _turn(burst.pause)

    def _note(self, channels: tuple[str, ...], hole: GapReason | None) -> None:
        newest = [self.ledger.newest(channel) for channel in channels]
        if any(entry is not None and entry.tick < self.tick - 1 for entry in newest):
            # A sampler never passes over a missing tick in silence.
            hole = hole or GapReason.SOURCE
        if self.asleep & set(channels):
            hole = GapReason.IDLE
        self.asleep -= set(channels)
        self.ledger.note(self.tick, channels, hole)
        self.phoenix.hub.tick(self.tick, *channels, hole=hole)

    @rule(channel=st.sampled_from(CHANNELS))
    def doze(self, channel: str) -> None:
        """Let a source fall asleep until its next publication."""
        hub = self.phoenix.hub
        hub.log.ring(channel, hub.settings.host).asleep = True
        self.asleep.add(channel)

    @precondition(lambda self: self.wire in {"websocket", "sse"})
    @rule(asked=st.booleans())
    def heartbeat(self, *, asked: bool) -> None:
        """Let the stream have a heartbeat, asked for or as after a long silence."""
        if asked and self.wire == "websocket":
            self._run(self.traveller.leg.websocket.send({"type": "ping"}))
        self._run(self._beat())

    async def _beat(self) -> None:
        hub = self.phoenix.hub
        for cohort in list(hub._cohorts.values()):
            hub._beat_cohort(cohort, hub.now() + SILENCE_S)
        for session in list(hub.sessions):
            session.beat()

    @precondition(lambda self: self.ledger.head)
    @rule()
    def restart(self) -> None:
        """Restart with an empty log; all connections are cut."""
        self._run(self._restart())

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
                client = await ROAMING["sse"].connect(self.served)
                await self.traveller.board(client, header=False, wait=0)
            await self._publish(Burst(max(BETA_TICKS)))
            await self.traveller.arrive()
        finally:
            await self.traveller.leave(abruptly=False)


async def _turn(times: int) -> None:
    for _ in range(times):
        await asyncio.sleep(0)


TestHopping = Hopping.TestCase
TestHopping.settings = settings(
    max_examples=1000 if THOROUGH else 50,
    stateful_step_count=60 if THOROUGH else 25,
    derandomize=not THOROUGH,
    database=None,
    suppress_health_check=list(HealthCheck),
)
