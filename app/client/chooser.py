"""Keeps one wire up: chooses the transport, trusts and demotes after proof, comes back."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Mapping

from attrs import define, evolve, field

from app.client.cursors import Cursors
from app.client.link import Link
from app.client.listener import Listener
from app.client.longpoll import LongPollWire
from app.client.messages import Received
from app.client.patience import Backoff, Path, Trials
from app.client.race import GIVE_UP_S, Race
from app.client.ranking import Ranking
from app.client.sse import SseWire
from app.client.tasks import Tasks
from app.client.want import Want
from app.client.websocket import WebSocketWire
from app.client.wire import End, Wire
from app.client.witness import Witness
from schema.cursor import Cursor
from schema.messages import DataMessage, Reconnect

WIRES: Mapping[str, type[Wire]] = {
    wire.NAME: wire for wire in (WebSocketWire, SseWire, LongPollWire)
}
"""The transports, best first."""

PROBE_S = 3.0
TIMELY_S = 1.0
BUSY_TICK_S = 0.1
TICK_S = 1.0
PING_S = 20.0
"""How often a WebSocket is asked how long an answer takes."""


@define(eq=False)
class Chooser:
    """The host of the wires. ``active`` is the one whose messages count."""

    link: Link
    clock: Callable[[], float]
    _chance: Callable[[], float]
    _ranking: Ranking = field(converter=Ranking)
    _listener: Listener
    active: Wire | None = None
    path: Path = field(factory=Path)
    backoff: Backoff = field(factory=Backoff)
    _wires: set[Wire] = field(factory=set)
    _race: Race | None = None
    _trials: Trials = field(factory=Trials)
    # Those still to be tried.
    _better: list[str] = field(factory=list)
    # While an event stream is active.
    _witness: Witness | None = None
    _pinged_at: float = 0.0
    _nudge: asyncio.Event = field(factory=asyncio.Event)
    _tasks: Tasks = field(init=False)
    _over: bool = False

    def __attrs_post_init__(self) -> None:
        self._tasks = Tasks(self._listener.failed)

    # What the client says

    async def run(self) -> None:
        """Begin, and look at the clock until the end."""
        self._begin()
        while not self._over:
            self._nudge.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._pause()):
                    await self._nudge.wait()
            self._step()

    async def aclose(self) -> None:
        """Let go of everything, and wait until it is gone."""
        self.stop()
        await self._tasks.ended()

    def stop(self) -> None:
        """Let go of everything."""
        self._over = True
        self._clear()
        self._nudge.set()

    def update(self, channel: str) -> None:
        """Take note that a channel is wanted otherwise."""
        # What is on trial asked for what is wanted no more.
        for wire in self._wires:
            wire.anchored = False
        if not self._listener.wanted():
            self._clear()
        elif isinstance(self.active, WebSocketWire):
            self.active.update(channel)
        elif self.backoff.at is None:
            self._begin()

    # What a wire needs: see `Host`

    @property
    def cursors(self) -> Cursors:
        """How far each channel has come."""
        return self._listener.cursors

    def wanted(self) -> Mapping[str, Want]:
        """Return the channels that are asked for."""
        return self._listener.wanted()

    def free(self) -> bool:
        """Tell whether no wire brings messages."""
        return self.active is None

    async def room(self) -> None:
        """Wait until more messages are wanted."""
        await self._listener.room()

    def message(self, wire: Wire, received: Received) -> None:
        """Take a message of a wire."""
        message = received.message
        if isinstance(message, Reconnect):
            said = f"the server has gone: {message.reason}"
            wire.end(End(said, spoken=True, after=message.after_ms / 1000))
            return
        late = self._listener.message(received, trusted=self._trusts(wire))
        if late is None or not isinstance(message, DataMessage):
            return
        asked = self._witness.wire if self._witness else None
        if self._witness:
            self._witness.heard(wire, message, is_new=late == 0)
        on_trial = self.active is not None and wire not in {self.active, asked}
        if on_trial and wire.proven and late < TIMELY_S:
            self._activate(wire)

    def covered(self, wire: Wire, channels: Iterable[str], cursor: Cursor) -> None:
        """Take the cursor of a long-poll's answer."""
        self._listener.covered(channels, cursor, trusted=self._trusts(wire))

    def _trusts(self, wire: Wire) -> bool:
        return wire is self.active or wire.anchored

    def proven(self, wire: Wire) -> None:
        """Let a wire that works bring the messages, if it is the better one."""
        if self.active is None or isinstance(wire, WebSocketWire):
            self._activate(wire)
        elif isinstance(wire, SseWire) and not wire.anchored:
            self._drop(wire)

    def ended(self, wire: Wire, end: End) -> None:
        """Go on after the end of a wire."""
        self._wires.discard(wire)
        if wire is self.active:
            quiet, longest = wire.liveness.quiet, wire.liveness.longest
            healthy = self.backoff.down(self.clock())
            if healthy:
                self._ranking.died(young=False)
            self.lost(end, barred=False)
            # A server that is down proves nothing.
            if not end.spoken:
                self._tasks.spawn(self._learn(quiet, longest, healthy=healthy))
        elif self._witness is not None and wire is self._witness.wire:
            self._witness.dismiss()
        elif self._race is not None:
            self._tasks.spawn(self._race.failed(wire, end))
        else:
            self._try()

    # What a race needs: see `Track`

    def launch(self, name: str) -> Wire:
        """Start a wire."""
        wire = WIRES[name](self)
        self._wires.add(wire)
        wire.open()
        self._tasks.watch(wire.task)
        self._nudge.set()
        return wire

    def deserted(self) -> bool:
        """Tell whether no wire is open."""
        return not self._wires

    async def reachable(self) -> bool:
        """Tell whether plain requests work at this moment."""
        return await self.link.reachable(PROBE_S)

    def lost(self, end: End, *, barred: bool) -> None:
        """Come back later, unless the server will not have us."""
        self._clear()
        if self._listener.refused(end):
            end = evolve(end, final=False, after=0.0)
        elif barred and not self._ranking.worked:
            end = evolve(end, final=True)
        if end.final:
            self.stop()
        else:
            self.backoff.wait(self.clock(), self._chance(), end.after)
        self._nudge.set()
        self._listener.down(end)

    # What is done by the clock

    def _pause(self) -> float:
        if self.backoff.at is not None:
            # A machine that has slept meanwhile is not told so.
            return min(TICK_S, max(0.0, self.backoff.at - self.clock()))
        return TICK_S if self.active is not None and len(self._wires) == 1 else BUSY_TICK_S

    def _step(self) -> None:
        now = self.clock()
        if self.backoff.at is not None:
            if now >= self.backoff.at:
                self._begin()
            return
        for wire in [*self._wires]:
            self._look(wire)
        if self.active is not None and self._trials.due(now):
            self._better = self._ranking.better(self.active.NAME)
            self._try()

    def _look(self, wire: Wire) -> None:
        if wire.over:  # a witness that was dismissed
            self._wires.discard(wire)
            return
        if wire.held:
            return
        interval = min((want.interval / 1000 for want in self.wanted().values()), default=0.0)
        # The trial of an event stream must also show that its messages come in time.
        patience = GIVE_UP_S + (interval if wire.proven else 0.0)
        if wire.liveness.dead:
            wire.end(End("nothing comes any more"))
        elif wire is self.active:
            self._attend(wire, interval)
        elif self._witness is not None and wire is self._witness.wire:
            return
        elif self.clock() - wire.started_at >= patience:
            wire.end(End("no answer in time"))
        elif self._race is not None:
            self._tasks.spawn(self._race.look(wire))

    def _attend(self, wire: Wire, interval: float) -> None:
        if isinstance(wire, WebSocketWire):
            quiet = wire.liveness.quiet >= self.path.quiet
            if quiet or self.clock() - self._pinged_at >= PING_S:
                self._pinged_at = self.clock()
                wire.ping()
        elif self._witness is not None:
            better = self._witness.look(interval)
            if better is not None:
                self._trials.slow()
                self._activate(better)

    def _begin(self) -> None:
        self._clear()
        if not self.wanted():
            return
        if self._ranking.give_up():
            self._trials.slow()
        self._race = Race(self._ranking.order(), self._ranking.trusted, self)
        self._race.start()

    def _activate(self, wire: Wire) -> None:
        before, self.active = self.active, wire
        # From the cursors of now: what it may have been sent as yet was for nobody.
        if before is not None and isinstance(wire, WebSocketWire):
            wire.subscribe()
        rank = self._ranking.rank(wire.NAME)
        # A better one that is late goes on, as a trial.
        for other in [*self._wires]:
            if other is before or self._ranking.rank(other.NAME) > rank:
                self._drop(other)
        if self._race is not None:
            self._race.over = True
            self._race = None
        self._better = []
        self._ranking.works(wire.NAME)
        self._trials.cancel()
        if rank:
            self._trials.schedule(self.clock())
        doubted = isinstance(wire, SseWire) and LongPollWire.NAME in self._ranking.names
        self._witness = Witness(wire, self._ask) if doubted else None
        self._pinged_at = self.clock()
        self.backoff.up(self.clock())
        self._listener.up(wire)

    def _ask(self) -> Wire:
        return self.launch(LongPollWire.NAME)

    def _try(self) -> None:
        """Try the next better transport beside the active one."""
        if self._better:
            self.launch(self._better.pop(0))
        else:
            self._trials.slow()
            self._trials.schedule(self.clock())

    async def _learn(self, quiet: float, longest: float, *, healthy: bool) -> None:
        """Learn from the end of the active wire, if a plain request shows that it was the wire."""
        if await self.reachable():
            self.path.learn(quiet, longest)
            self._ranking.died(young=not healthy)

    def _drop(self, wire: Wire) -> None:
        wire.close()
        self._wires.discard(wire)

    def _clear(self) -> None:
        for wire in [*self._wires]:
            self._drop(wire)
        if self._race is not None:
            self._race.over = True
        self.active = self._race = self._witness = self.backoff.at = None
        self._trials.cancel()
