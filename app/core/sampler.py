"""The one interval loop of a source: drift-free ticks, whatever the source does."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable
from enum import StrEnum

from attrs import frozen

from app.core.clock import Clock
from app.core.log import Reading
from app.core.source import Resting, Source, SourceUnavailableError
from app.core.worker import Worker
from schema.fields import GapReason

logger = logging.getLogger(__name__)

# Two samples are at least this far apart (half a tick, if that is less): a shorter window makes
# spikes. 200 ms of a 100 Hz clock resolve 5 % of a core.
APART_S = 0.2
# A call that takes longer than this is taken for hung: its result is thrown away.
HANG_S = 5.0
# A step of the wall clock, or a sleep, of this length makes a hole. NTP slews far less in a tick.
STEP_S = 1.0
# A source that answers within this may hold up the others' publications of the same tick.
PROMPT_S = 0.05
# An always-running source that has published nothing for so many ticks is dead.
DEAD_TICKS = 5
BACKOFF_MAX_TICKS = 30


class State(StrEnum):
    """What a sampler is doing, for the status page."""

    STOPPED = "stopped"
    STARTING = "starting"
    OK = "ok"
    FAILING = "failing"
    HANGING = "hanging"
    UNAVAILABLE = "unavailable"
    ASLEEP = "asleep"


@frozen(eq=False)
class Report:
    """What became of one tick: a reading to publish, or None; or that the source fell asleep."""

    tick: int
    reading: Reading | None = None
    base: Reading | None = None
    hole: GapReason | None = None
    asleep: bool = False


class Sampler:
    """Samples one source every tick and reports each tick's outcome.

    A tick without a publication, for whatever reason, makes the next publication bear a hole.
    After a hole the source is primed again with two samples, so that no window spans it.
    """

    def __init__(
        self,
        source: Source,
        clock: Clock,
        tick_s: float,
        report: Callable[[Sampler, Report], None],
        *,
        hang_s: float = HANG_S,
    ) -> None:
        self.source = source
        self.state = State.STOPPED
        self.error: str | None = None
        self.samples = 0
        self.lateness = 0.0
        self._clock = clock
        self._tick_s = tick_s
        self._report = report
        self._hang_s = hang_s
        self._worker = Worker(f"pulsewire-{source.channel}")
        self._task: asyncio.Task[None] | None = None
        self._call: asyncio.Future[Reading] | None = None
        self._wanted_until = -math.inf
        self._wanted = asyncio.Event()
        self._origin = 0.0
        self._apart_s = min(APART_S, tick_s / 2)
        self._read_at = -math.inf
        self._reported = -1
        self._published: int | None = None
        self._published_at = -math.inf
        self._hole: GapReason | None = None
        self._offsets: tuple[float, float] | None = None
        self._took = 0.0
        self._backoff = 0
        self._holds = False

    @property
    def dead(self) -> bool:
        """Whether a source that always runs has published nothing for several ticks."""
        silent = self._clock.monotonic() - self._published_at
        return self.source.always and silent > DEAD_TICKS * self._tick_s

    def start(self, origin: float) -> None:
        """Begin to tick on the grid that starts at ``origin``; does nothing if it ticks already.

        A second start needs the origin of the first, since ticks go on counting.
        """
        if self._task is None:
            self._origin = origin
            self._rested()
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """End the loop; a call that hangs is left to its thread."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = self._call = None
            self._let_rest()
            self._worker.stop()
            self._worker = Worker(f"pulsewire-{self.source.channel}")
            self.state = State.STOPPED

    def want(self, seconds: float) -> None:
        """Keep a source that may sleep awake for so long."""
        self._wanted_until = max(self._wanted_until, self._clock.monotonic() + seconds)
        self._wanted.set()

    def expected(self, tick: int) -> bool:
        """Tell whether this tick's report is worth waiting for."""
        return self.state is State.OK and self._took <= PROMPT_S and 0 <= self._reported < tick

    async def _run(self) -> None:
        while True:
            await self._awake()
            tick = max(self._reported + 1 + self._backoff, self._now())
            moment = self._origin + tick * self._tick_s
            # A tick that came late puts off the next one, if need be.
            await self._clock.sleep_until(max(moment, self._read_at + self._apart_s))
            # Late by a tick or more: the missed ones are not made up for, or they would bunch.
            tick = max(tick, self._now())
            self.lateness = self._clock.monotonic() - self._origin - tick * self._tick_s
            report = await self._sample(tick)
            self._reported = tick
            self._tell(report)

    def _tell(self, report: Report) -> None:
        try:
            self._report(self, report)
        except Exception:
            # Whatever a subscriber's fault did, the source goes on.
            logger.exception("a report of %s was not taken", self.source.channel)

    def _now(self) -> int:
        elapsed = self._clock.monotonic() - self._origin
        # A timer may fire a hair early; that is still this tick.
        return math.floor(elapsed / self._tick_s + 1e-3)

    async def _awake(self) -> None:
        if self.source.always or self._clock.monotonic() < self._wanted_until:
            return
        self.state = State.ASLEEP
        self._let_rest()
        self._tell(Report(self._now(), asleep=True))
        while self._clock.monotonic() >= self._wanted_until:
            self._wanted.clear()
            await self._wanted.wait()
        self._rested()

    def _let_rest(self) -> None:
        """Have the source let go of what it holds; what comes next does not wait for that."""
        if self._holds and isinstance(self.source, Resting):
            self._worker.call(self.source.rest).add_done_callback(self._look_for_unrest)
        self._holds = False

    def _look_for_unrest(self, resting: asyncio.Future[None]) -> None:
        error = resting.exception()
        if error is not None:
            logger.warning("source %s cannot rest: %r", self.source.channel, error)

    def _rested(self) -> None:
        """Begin afresh after a time in which nobody wanted anything."""
        self.state = State.STARTING
        self._hole = GapReason.IDLE if self._published is not None else None
        # What the clocks did meanwhile made no hole that is not there already.
        self._offsets = None
        self._backoff = 0

    async def _sample(self, tick: int) -> Report:
        self._look_for_holes(tick)
        base = None
        reading = await self._read()
        if reading is not None and (self._hole or self._published is None):
            base = reading
            await self._clock.sleep_until(base.monotonic + self._apart_s)
            reading = await self._read()
        if reading is None:
            self._hole = self._hole or GapReason.SOURCE
            return Report(tick)
        report = Report(tick, reading, base, self._hole)
        self._published, self._published_at = tick, self._clock.monotonic()
        self._hole = None
        return report

    def _look_for_holes(self, tick: int) -> None:
        now = self._clock.monotonic()
        offsets = (self._clock.boottime() - now, self._clock.wall() - now)
        if self._offsets is not None:
            steps = (abs(new - old) for new, old in zip(offsets, self._offsets, strict=True))
            if max(steps) > STEP_S:
                self._hole = GapReason.SUSPEND
        self._offsets = offsets
        if self._published is not None and tick > self._published + 1:
            # What a slow source made us miss is its fault, not an overload of ours.
            slow = self._took > self._tick_s
            self._hole = self._hole or (GapReason.SOURCE if slow else GapReason.OVERLOAD)

    async def _read(self) -> Reading | None:
        if self._call is None or self._call.done():
            self._holds = True
            self._call = self._worker.call(self._timed)
            # A call that hung may fail long after anybody asks for its result.
            self._call.add_done_callback(asyncio.Future.exception)
            await asyncio.wait([self._call], timeout=self._hang_s)
        if not self._call.done():
            self._fail(State.HANGING, f"sample() has not returned for {self._hang_s:g} s")
            return None
        error = self._call.exception()
        if error is None:
            return self._succeed(self._call.result())
        if isinstance(error, SourceUnavailableError):
            self._backoff = min(2 * self._backoff + 1, BACKOFF_MAX_TICKS)
            self._fail(State.UNAVAILABLE, str(error))
        else:
            self._fail(State.FAILING, f"{type(error).__name__}: {error}")
        return None

    def _timed(self) -> Reading:
        self.samples += 1
        began, timestamp = self._clock.monotonic(), self._clock.timestamp()
        sample = self.source.sample()
        self._took = self._clock.monotonic() - began
        return Reading(began, timestamp, sample)

    def _succeed(self, reading: Reading) -> Reading:
        if self.error is not None:
            logger.info("source %s is back", self.source.channel)
        self.state, self.error, self._backoff = State.OK, None, 0
        self._read_at = reading.monotonic
        return reading

    def _fail(self, state: State, error: str) -> None:
        if state is not self.state:
            logger.warning("source %s is %s: %s", self.source.channel, state, error)
        self.state, self.error = state, error
