"""The hub: samples come in, sessions are told; it owns the log, the cohorts and the samplers."""

from __future__ import annotations

import asyncio
import logging
import math
import random
import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from attrs import define, field

from app.core.clock import Clock
from app.core.cohort import Cohort, CohortKey, Counters, FrameCache, Member
from app.core.heartbeat import RESOLUTION_S, Wheel, next_turn
from app.core.log import Log, Publication
from app.core.sampler import PROMPT_S, Report, Sampler, State
from app.core.session import Session
from app.core.source import Source
from schema.errors import ErrorCode, InvalidMessage, ProtocolError
from schema.fields import Detail
from schema.frame import Frame
from schema.messages import Connected, Heartbeat, Subscribe
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

    ``counters`` counts renders and encodes; they grow with cohorts and ticks, never with clients.
    """

    def __init__(self, sources: Iterable[Source], settings: HubSettings) -> None:
        self.settings = settings
        self.clock = settings.clock
        self.counters = Counters()
        self.draining = False
        self.delivered = 0
        # When those come back who are sent away one by one: polls that come during a drain.
        self.return_ms = RETRY_MS
        self.sessions: set[Session] = set()
        self._shared = 0
        tick_s = settings.tick_ms / 1000
        keep_ticks = round((settings.history_s + WINDOW_MAX_S) / tick_s)
        self.log = Log(keep_ticks=keep_ticks, epoch=settings.epoch)
        self.samplers = {
            source.channel: Sampler(source, self.clock, tick_s, self._report) for source in sources
        }
        self._cache = FrameCache()
        self._cohorts: dict[CohortKey, Cohort] = {}
        self._wheel = Wheel(settings.heartbeat_ms / 1000)
        self._reports: list[tuple[Sampler, Report]] = []
        self._flush_at: asyncio.TimerHandle | None = None
        self._beating: asyncio.Task[None] | None = None
        self._origin: float | None = None
        self._lost: dict[str, str] = {}

    # Life

    async def start(self) -> None:
        """Start to sample; does nothing if it is running."""
        if self._beating is None:
            self._beating = asyncio.get_running_loop().create_task(self._beat())
            if self._origin is None:
                self._origin = self.clock.monotonic()
            for channel, sampler in self.samplers.items():
                self.log.ring(channel, self.settings.host).asleep = not sampler.source.always
                sampler.start(self._origin)
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
            await asyncio.gather(*(sampler.stop() for sampler in self.samplers.values()))
            self._beating = None
            # What was held back counts as published.
            self._flush()
            logger.info("Metrics broadcast stopped")

    async def _beat(self) -> None:
        while True:
            await self.clock.sleep_until(next_turn(self.clock.monotonic()))
            now = self.clock.monotonic()
            for cohort in list(self._cohorts.values()):
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

    # Samples come in

    def _report(self, sampler: Sampler, report: Report) -> None:
        """Take note of what became of a source's tick.

        Publications of one tick are held back until all sources that are usually prompt have
        reported, so that a client gets them in one go.
        """
        channel = sampler.source.channel
        if report.asleep:
            # What is still held back was published before.
            self._flush()
            self.log.ring(channel, self.settings.host).asleep = True
        self._look_for_loss(sampler)
        if report.reading is not None:
            self._reports.append((sampler, report))
        if not self._reports:
            return
        tick = max(report.tick for _, report in self._reports)
        if not any(other.expected(tick) for other in self.samplers.values()):
            self._flush()
        elif self._flush_at is None:
            self._flush_at = asyncio.get_running_loop().call_later(PROMPT_S, self._flush)

    def _look_for_loss(self, sampler: Sampler) -> None:
        channel = sampler.source.channel
        if sampler.state is not State.UNAVAILABLE:
            self._lost.pop(channel, None)
        elif channel not in self._lost:
            self._lost[channel] = str(sampler.error)
            for cohort in self._cohorts.values():
                if cohort.key.channel == channel:
                    for member in cohort.members:
                        member.lost(channel, self._lost[channel])

    def _flush(self) -> None:
        if self._flush_at is not None:
            self._flush_at.cancel()
            self._flush_at = None
        reports, self._reports = self._reports, []
        self.publish(
            [
                self.log.append(
                    sampler.source.channel,
                    self.settings.host,
                    report.tick,
                    report.reading,
                    base=report.base,
                    hole=report.hole,
                )
                for sampler, report in reports
                if report.reading is not None
            ]
        )

    def publish(self, publications: Sequence[Publication]) -> None:
        """Tell everybody whom these new entries of the log concern."""
        told: set[Member] = set()
        now = self.clock.monotonic()
        for publication in publications:
            self.delivered = publication.seq
            for cohort in list(self._cohorts.values()):
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
        self.sessions.add(session)
        if self.draining:
            session.farewell(random.randint(*self.return_ms))
        return session

    def admit(self) -> None:
        """Count one more client, who shares a session that is there already.

        Raises:
            ProtocolError: no more clients can be taken.
        """
        self._make_room()
        self._shared += 1

    def dismiss(self) -> None:
        """Count one less of those who share a session."""
        self._shared -= 1

    def _make_room(self) -> None:
        count = len(self.sessions) + self._shared
        if count >= self.settings.max_clients and not self.draining:
            msg = "the server has as many clients as it may have"
            raise ProtocolError(ErrorCode.OVERLOADED, msg)

    def _greeting(self, *, heritage: bool) -> Connected:
        return Connected(
            timestamp=self.clock.timestamp(),
            client_id=secrets.token_hex(CLIENT_ID_BYTES),
            epoch=self.log.epoch,
            heartbeat_ms=self.settings.heartbeat_ms,
            protocol="heritage" if heritage else "pulsewire.v1",
            version=self.settings.version,
            tick_ms=self.settings.tick_ms,
            channels=list(self.samplers),
        )

    def left(self, session: Session) -> None:
        """Take note that a client has gone."""
        self.sessions.discard(session)
        self._wheel.discard(session)

    def clients(self) -> dict[str, int]:
        """Count the clients by the wire they are on."""
        count = Counter(session.wire for session in self.sessions)
        count[Wire.LONGPOLL] += self._shared
        return {wire.value: count[wire] for wire in Wire}

    # What sessions ask for

    def now(self) -> float:
        """Monotonic seconds."""
        return self.clock.monotonic()

    def timestamp(self) -> int:
        """Milliseconds since the epoch."""
        return self.clock.timestamp()

    def unavailable(self, channel: str) -> str | None:
        """Say why a channel has nothing to say at present, None if it has."""
        return self._lost.get(channel)

    def check(self, channel: str, detail: Detail | None = None) -> Source:
        """Look a channel up.

        Raises:
            ProtocolError: there is no such channel, or not with that detail.
        """
        sampler = self.samplers.get(channel)
        if sampler is None:
            msg = f"channel: must be one of {', '.join(self.samplers)}, got {channel[:64]!r}"
            raise ProtocolError(ErrorCode.UNKNOWN_CHANNEL, msg, channel[:64])
        if detail is not None and detail not in sampler.source.details:
            offered = ", ".join(sampler.source.details)
            msg = f"detail: must be one of {offered} for channel {channel}, got {detail}"
            raise InvalidMessage(msg)
        return sampler.source

    def cohort(self, wanted: Subscribe) -> Cohort:
        """Return the cohort of a subscription and keep its source awake.

        Raises:
            ProtocolError: there is no such channel, or not with that detail.
        """
        source = self.check(wanted.channel, wanted.detail)
        settings = self.settings
        ticks = -(-(wanted.interval or settings.interval_ms) // settings.tick_ms)
        key = CohortKey(wanted.channel, settings.host, ticks, wanted.detail)
        if key not in self._cohorts:
            self._cohorts[key] = Cohort(
                key, source, settings.tick_ms, self.log, self._cache, self.counters
            )
        self._want(self._cohorts[key])
        return self._cohorts[key]

    def _want(self, cohort: Cohort) -> None:
        interval_s = cohort.key.ticks * self.settings.tick_ms / 1000
        self.samplers[cohort.key.channel].want(max(LINGER_S, 2 * interval_s))

    def released(self, cohort: Cohort) -> None:
        """Take note that a member has left a cohort; what it kept stays in the cache."""
        if not cohort.members:
            self._cohorts.pop(cohort.key, None)

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

    def newest(self, wanted: Subscribe) -> Frame | None:
        """Return the message about a channel's newest sample; None before the first."""
        cohort = self.cohort(wanted)
        newest = cohort.ring.newest
        frame = None if newest is None else cohort.frame(newest)
        self.released(cohort)
        return frame
