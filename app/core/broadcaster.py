"""The hub: samples come in, sessions are told; it owns the log, the cohorts and the samplers."""

from __future__ import annotations

import asyncio
import logging
import math
import random
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence

from attrs import define, field

from app.core.clients import Clients
from app.core.clock import Clock
from app.core.cohort import Cohort, Member
from app.core.cohorts import Cohorts
from app.core.counters import Counters
from app.core.figures import Figures, Vitals
from app.core.heartbeat import RESOLUTION_S, Wheel, next_turn
from app.core.log import Log, Publication
from app.core.pauses import Pauses
from app.core.publisher import Publisher
from app.core.sampler import Sampler
from app.core.session import Session
from app.core.source import Source
from schema.errors import ErrorCode, ProtocolError
from schema.fields import Detail
from schema.frame import Frame
from schema.messages import V1_CHANNELS, Connected, Heartbeat, Subscribe
from transports.base import Wire

logger = logging.getLogger(__name__)

# The oldest window of the ring still needs so much behind it.
WINDOW_MAX_S = 60
# A costly source runs on for so long after the last who asked, so that pollers keep it warm.
LINGER_S = 60.0
RETRY_MS = (2_000, 6_000)
CLIENT_ID_BYTES = 8


@define(kw_only=True)
class HubSettings:
    """What the hub is told once; times in ms but for ``history_s``."""

    host: str
    version: str
    tick_ms: int = 1000
    interval_ms: int = 5000
    heartbeat_ms: int = 15_000
    history_s: int = 900
    max_clients: int = 12_000
    epoch: str | None = None
    clock: Clock = field(factory=Clock)


class Broadcaster:
    """The hub that adapters see.

    ``counters`` is what it has done since its start.
    """

    def __init__(self, sources: Iterable[Source], settings: HubSettings) -> None:
        self.settings = settings
        self.clock = settings.clock
        self.counters = Counters()
        self.draining = False
        self.delivered = 0
        # When those come back who are sent away one by one: polls that come during a drain.
        self.return_ms = RETRY_MS
        tick_s = settings.tick_ms / 1000
        keep_ticks = round((settings.history_s + WINDOW_MAX_S) / tick_s)
        self.log = Log(keep_ticks=keep_ticks, epoch=settings.epoch)
        self._publisher = Publisher(self.log, settings.host, self)
        for source in sources:
            self._publisher.add(source, self.clock, tick_s)
        self._clients = Clients()
        self._cohorts = Cohorts(
            settings.host, settings.tick_ms, settings.interval_ms, self.log, self.counters
        )
        self._wheel = Wheel(settings.heartbeat_ms / 1000)
        self._pauses = Pauses()
        self._beating: asyncio.Task[None] | None = None

    @property
    def samplers(self) -> Mapping[str, Sampler]:
        """The samplers, by channel."""
        return self._publisher.samplers

    @property
    def sessions(self) -> set[Session]:
        """The sessions of all clients; polls that wait together have one."""
        return self._clients.sessions

    # Life

    async def start(self) -> None:
        """Start to sample; does nothing if it is running."""
        if self._beating is None:
            self._beating = asyncio.get_running_loop().create_task(self._beat())
            self._publisher.start(self.clock.monotonic())
            logger.info(
                "Metrics broadcast started: %s, every %d ms",
                ", ".join(self.samplers),
                self.settings.tick_ms,
            )

    async def stop(self) -> None:
        """Stop to sample; does nothing if it is not running."""
        if self._beating is not None:
            self._beating.cancel()
            await asyncio.gather(self._beating, return_exceptions=True)
            await self._publisher.stop()
            self._beating = None
            logger.info("Metrics broadcast stopped")

    async def _beat(self) -> None:
        while True:
            due = next_turn(self.clock.monotonic())
            await self.clock.sleep_until(due)
            now = self.clock.monotonic()
            self._pauses.beat(now, due)
            for cohort in self._cohorts.values():
                self._want(cohort)
                self._beat_cohort(cohort, now)
            self._wheel.turn(now)

    def _beat_cohort(self, cohort: Cohort, now: float) -> None:
        """Let a cohort that is silent for longer than a heartbeat share one.

        Before its first message each of its streams is on the wheel.
        """
        silent = now - cohort.fanned_at
        if math.inf > silent > self.settings.heartbeat_ms / 1000 - 2 * RESOLUTION_S:
            cursor = self.log.cursor(self.delivered)
            cohort.send([Frame.of(Heartbeat(self.clock.timestamp(), cursor))], now)

    # Publications go out

    def publish(self, publications: Sequence[Publication]) -> None:
        """Tell everybody whom these new entries of the log concern."""
        told: set[Member] = set()
        now = self.clock.monotonic()
        for publication in publications:
            self.delivered = publication.seq
            self.counters.publications[publication.channel] += 1
            for cohort in self._cohorts.values():
                key = cohort.key
                if (key.channel, key.host) != (publication.channel, publication.host):
                    continue
                for member in list(cohort.waiting):
                    # It will take its snapshot when all is out: after that, what comes above it.
                    member.part()
                if cohort.concerned(publication):
                    cohort.fan_out(publication, now)
                    told |= cohort.listeners
                else:
                    told |= cohort.waiting
        for member in told:
            member.notify()
        done = self.clock.monotonic()
        self._pauses.work(done, done - now)

    def lose(self, channel: str, reason: str) -> None:
        """Tell everybody that a channel has nothing to say at present."""
        self._cohorts.lose(channel, reason)

    # Clients come and go

    def open(self, wire: Wire, wake: Callable[[], None], *, heritage: bool = False) -> Session:
        """Let a client in; ``wake`` is called when ``take`` has something new.

        Raises:
            ProtocolError: no more clients can be taken, or the server is going.
        """
        polled = wire is Wire.LONGPOLL
        if self.draining and not polled:
            raise ProtocolError(ErrorCode.OVERLOADED, "the server is going; try again later")
        self._make_room()
        session = Session(self, wire, wake, heritage=heritage)
        if not polled:
            session.say(self._greeting(heritage=heritage), retry=random.randint(*RETRY_MS))
            self._wheel.add(session)
        self._clients.sessions.add(session)
        if self.draining:
            session.farewell(random.randint(*self.return_ms))
        return session

    def admit(self) -> None:
        """Count one more client, who shares a session that is there already.

        Raises:
            ProtocolError: no more clients can be taken.
        """
        self._make_room()
        self._clients.shared += 1

    def dismiss(self) -> None:
        """Count one less of those who share a session."""
        self._clients.shared -= 1

    def _make_room(self) -> None:
        # Who comes during a drain is sent away at once.
        if not self.draining:
            self._clients.make_room(self.settings.max_clients)

    def _greeting(self, *, heritage: bool) -> Connected:
        return Connected(
            timestamp=self.clock.timestamp(),
            client_id=secrets.token_hex(CLIENT_ID_BYTES),
            epoch=self.log.epoch,
            heartbeat_ms=self.settings.heartbeat_ms,
            protocol="heritage" if heritage else "pulsewire.v1",
            version=self.settings.version,
            tick_ms=self.settings.tick_ms,
            channels=[c for c in self.samplers if not (heritage and c in V1_CHANNELS)],
        )

    def left(self, session: Session) -> None:
        """Take note that a client has gone."""
        if session in self.sessions:
            self.sessions.discard(session)
            # To look a stream up costs the wheel a while, and a poll is not on it.
            if session.wire is not Wire.LONGPOLL:
                self._wheel.discard(session)

    def clients(self) -> dict[str, int]:
        """Count the clients by the wire they are on."""
        return self._clients.by_wire()

    # What sessions ask for

    def now(self) -> float:
        """Monotonic seconds."""
        return self.clock.monotonic()

    def timestamp(self) -> int:
        """Milliseconds since the epoch."""
        return self.clock.timestamp()

    def unavailable(self, channel: str) -> str | None:
        """Say why a channel has nothing to say at present, None if it has."""
        return self._publisher.lost.get(channel)

    def check(self, channel: str, detail: Detail | None = None) -> Source:
        """Look a channel up.

        Raises:
            ProtocolError: there is no such channel, or not with that detail.
        """
        return self._publisher.check(channel, detail)

    def cohort(self, wanted: Subscribe) -> Cohort:
        """Return the cohort of a subscription and keep its source awake.

        Raises:
            ProtocolError: there is no such channel, or not with that detail.
        """
        cohort = self._cohorts.of(wanted, self.check(wanted.channel, wanted.detail))
        self._want(cohort)
        return cohort

    def _want(self, cohort: Cohort) -> None:
        interval_s = cohort.key.ticks * self.settings.tick_ms / 1000
        self.samplers[cohort.key.channel].want(max(LINGER_S, 2 * interval_s))

    def released(self, cohort: Cohort) -> None:
        """Take note that a member has left a cohort; what it kept stays in the cache."""
        self._cohorts.released(cohort)

    # What pages ask for

    @property
    def cohorts(self) -> int:
        """How many cohorts have members."""
        return len(self._cohorts)

    @property
    def ready(self) -> bool:
        """Whether a first sample is held, no source that always runs is dead, and nobody drains."""
        always = [s for s in self.samplers.values() if s.source.always]
        return not self.draining and not any(sampler.dead for sampler in always)

    def figures(self) -> Figures:
        """Tell of itself."""
        return Figures.of(self, self._pauses)

    def vitals(self) -> Vitals:
        """Tell the little of it that any thread may ask for."""
        return Vitals(len(self._clients), self.counters.skips, self._pauses.recent(self.now()))

    def newest(self, wanted: Subscribe) -> Frame | None:
        """Return the message about a channel's newest sample; None before the first."""
        cohort = self.cohort(wanted)
        newest = cohort.ring.newest
        frame = None if newest is None else cohort.frame(newest)
        self.released(cohort)
        return frame
