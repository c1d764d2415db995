"""The sampler: drift-free ticks by a clock that the test moves, whatever the source does."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import math
import threading
from collections.abc import AsyncIterator, Callable

import pytest
from attrs import define, field
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.sampler import (
    APART_S,
    BACKOFF_MAX_TICKS,
    DEAD_TICKS,
    PROMPT_S,
    Report,
    Sampler,
    State,
)
from schema.fields import GapReason
from tests.manual_clock import ManualClock
from tests.synthetic import SyntheticSource

ORIGIN = 1000.0
# Real seconds: how long is waited for a source that hangs for certain, and for any other.
IMPATIENT_S = 0.01
PATIENT_S = 30.0


@define(eq=False)
class Gate:
    """Holds up a source's ``sample`` while it is shut."""

    entered: threading.Event = field(factory=threading.Event)
    opened: threading.Event = field(factory=threading.Event)

    def __call__(self) -> None:
        self.entered.set()
        assert self.opened.wait(30)


@define(eq=False)
class Bench:
    """A sampler, its source, its clock, and what it has reported."""

    source: SyntheticSource
    manual: ManualClock
    tick_s: float = 1.0
    reports: list[Report] = field(factory=list)
    fault: Exception | None = None
    sampler: Sampler = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.sampler = Sampler(
            self.source, self.manual.clock, self.tick_s, self.take, hang_s=PATIENT_S
        )

    def hang(self) -> Gate:
        """Have the source hang until the gate is opened, or this is undone."""
        self.source.blocker = gate = Gate()
        self.sampler._hang_s = IMPATIENT_S
        return gate

    async def release(self, gate: Gate) -> None:
        """Have the source return from where it hung, and hang no more."""
        self.source.blocker = None
        self.sampler._hang_s = PATIENT_S
        gate.opened.set()
        await self.sampler._worker.call(lambda: None)

    def take(self, sampler: Sampler, report: Report) -> None:
        assert sampler is self.sampler
        self.reports.append(report)
        if self.fault is not None:
            raise self.fault

    async def run(self, count: int) -> list[Report]:
        """Let time pass until so many more reports are there; the sampler waits for the next."""
        have = len(self.reports)
        moment = await self.manual.sleeping()
        while len(self.reports) < have + count:
            self.manual.advance_to(moment)
            moment = await self.manual.sleeping()
        return self.reports[have:]

    async def one(self) -> Report:
        """Let time pass until the next report."""
        (report,) = await self.run(1)
        return report

    async def late(self, seconds: float) -> Report:
        """Let so much time pass at once, and then as little as the next report needs."""
        await self.manual.sleeping()
        self.manual.advance(seconds)
        return await self.one()

    @property
    def now(self) -> int:
        """Number of the tick that has come."""
        return math.floor((self.manual.now - ORIGIN) / self.tick_s + 1e-6)


@contextlib.asynccontextmanager
async def bench(
    source: SyntheticSource | None = None, *, tick_s: float = 1.0, manual: ManualClock | None = None
) -> AsyncIterator[Bench]:
    """A sampler that runs."""
    made = Bench(source or SyntheticSource(), manual or ManualClock(now=ORIGIN), tick_s)
    made.sampler.start(ORIGIN)
    try:
        yield made
    finally:
        await made.sampler.stop()


def seconds(report: Report) -> float:
    """When a report's sample was taken, since the origin."""
    assert report.reading is not None
    return round(report.reading.monotonic - ORIGIN, 6)


# Ticks


async def test_a_thousand_ticks_do_not_drift() -> None:
    """However long each sample takes, the next one is on the grid."""
    async with bench() as at:

        def dawdle() -> None:
            at.manual.now += 0.1 * (at.source.value % 10)

        at.source.blocker = dawdle
        first = await at.one()
        reports = await at.run(999)

    assert first.tick == 0
    assert [report.tick for report in reports] == [*range(1, 1000)]
    assert [seconds(report) for report in reports] == [*range(1, 1000)]
    assert {(report.hole, report.base) for report in reports} == {(None, None)}
    assert at.sampler.samples == 1001


async def test_the_first_publication_has_two_samples() -> None:
    """So its window is real, and there is no fake 0."""
    async with bench() as at:
        report = await at.one()

    assert report.base is not None
    assert report.reading is not None
    assert (report.base.sample, report.reading.sample) == (1, 2)
    assert report.reading.monotonic - report.base.monotonic == pytest.approx(0.2)
    assert report.hole is None


async def test_short_ticks_have_their_two_samples_half_a_tick_apart() -> None:
    """The second tick must not be late for it."""
    async with bench(tick_s=0.1) as at:
        first, second = await at.run(2)

    assert (seconds(first), seconds(second)) == (0.05, 0.1)


async def test_a_reading_bears_both_times_of_its_beginning() -> None:
    """The wall clock in ms, for the message; the monotonic one for the windows."""
    async with bench() as at:
        await at.run(3)
        report = await at.one()

    assert report.reading is not None
    assert report.reading.monotonic == 1003
    assert report.reading.timestamp == (1_700_000_000 + 1003) * 1000


async def test_a_late_wake_up_skips_ticks_and_does_not_bunch_them() -> None:
    """One publication, marked, where three were missed; then the grid goes on."""
    async with bench() as at:
        await at.run(5)
        late = await at.late(3.4)
        lateness = at.sampler.lateness
        after = await at.run(3)

    assert (late.tick, late.hole, seconds(late)) == (7, GapReason.OVERLOAD, 7.6)
    assert late.base is not None
    assert lateness == pytest.approx(0.4)
    assert [(report.tick, seconds(report), report.hole) for report in after] == [
        (8, 8, None),
        (9, 9, None),
        (10, 10, None),
    ]


async def test_a_tick_that_comes_late_is_no_hole_while_none_is_skipped() -> None:
    """It is this tick all the same."""
    async with bench() as at:
        await at.run(5)
        late = await at.late(1.6)

    assert (late.tick, late.hole, seconds(late)) == (5, None, 5.6)


async def test_a_timer_that_fires_a_hair_early_fires_for_its_tick() -> None:
    """Also after some that were missed."""
    async with bench() as at:
        await at.run(5)
        late = await at.late(3.9995)
        lateness = at.sampler.lateness

    assert (late.tick, late.hole) == (8, GapReason.OVERLOAD)
    assert lateness == pytest.approx(-0.0005)


@pytest.mark.parametrize("late", [1.9, 3.9])
async def test_after_a_late_sample_the_next_one_keeps_its_distance(late: float) -> None:
    """A window of some milliseconds would make a spike of any rate."""
    async with bench() as at:
        await at.run(5)
        first = await at.late(late)
        second, third = await at.run(2)

    assert seconds(second) == pytest.approx(seconds(first) + APART_S)
    assert (second.tick, second.hole) == (first.tick + 1, None)
    assert seconds(third) == third.tick == second.tick + 1


@settings(max_examples=60)
@given(st.lists(st.floats(0, 5), max_size=12))
def test_no_lateness_brings_samples_together_or_skips_in_silence(delays: list[float]) -> None:
    """Ticks only rise, a skipped one is marked, and two samples are never too near."""

    async def run() -> list[Report]:
        async with bench() as at:
            for delay in delays:
                at.manual.advance_to(await at.manual.sleeping() + delay)
            await at.one()
            return at.reports

    reports = asyncio.run(run())

    times = [r.monotonic for report in reports for r in (report.base, report.reading) if r]
    assert all(late - early > APART_S - 1e-9 for early, late in itertools.pairwise(times))
    assert all(report.tick <= seconds(report) for report in reports)
    for before, after in itertools.pairwise(reports):
        assert before.tick < after.tick
        assert after.hole == (GapReason.OVERLOAD if after.tick > before.tick + 1 else None)
        assert (after.base is None) is (after.hole is None)


# Suspends and steps


@pytest.mark.parametrize(
    "disturb",
    [
        lambda manual: manual.suspend(3600),
        lambda manual: manual.step(5),
        lambda manual: manual.step(-5),
    ],
    ids=["a suspend", "a step ahead", "a step back"],
)
async def test_a_suspend_or_a_clock_step_is_one_hole_and_no_burst(
    disturb: Callable[[ManualClock], None],
) -> None:
    """Ticks go on by the monotonic clock; no window spans what happened."""
    async with bench() as at:
        await at.run(5)
        disturb(at.manual)
        report, *after = await at.run(5)

    assert (report.tick, report.hole) == (5, GapReason.SUSPEND)
    assert report.base is not None
    assert [(r.tick, r.hole, r.base) for r in after] == [(t, None, None) for t in range(6, 10)]


async def test_a_clock_that_is_slewed_makes_no_hole() -> None:
    """NTP corrects by a little a tick, for as long as it takes."""
    async with bench() as at:
        await at.one()
        for _ in range(10):
            at.manual.step(0.9)
            assert (await at.one()).hole is None


async def test_a_suspend_while_the_source_fails_is_still_told() -> None:
    """The mark waits for the next publication."""
    async with bench() as at:
        await at.one()
        at.source.failure = ValueError("no")
        await at.one()
        at.manual.suspend(3600)
        await at.run(2)
        at.source.failure = None
        report = await at.one()

    assert report.hole is GapReason.SUSPEND


# Sources that fail


async def test_a_source_that_fails_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """Its state tells why, and the next publication bears the hole; the log says each once."""
    caplog.set_level(logging.INFO)
    async with bench() as at:
        await at.run(3)
        at.source.failure = ValueError("no such file")
        failed = await at.run(3)
        assert (at.sampler.state, at.sampler.error) == (
            State.FAILING,
            "ValueError: no such file",
        )
        at.source.failure = None
        report, after = await at.run(2)

    assert [(r.tick, r.reading, r.hole) for r in failed] == [(t, None, None) for t in (3, 4, 5)]
    assert (report.tick, report.hole) == (6, GapReason.SOURCE)
    assert report.base is not None
    assert (after.hole, after.base) == (None, None)
    assert at.sampler.error is None
    assert caplog.messages == [
        "source synthetic is failing: ValueError: no such file",
        "source synthetic is back",
    ]


async def test_a_source_may_fail_at_its_second_sample() -> None:
    """Then there is no first publication yet; it is tried again with two samples."""
    async with bench() as at:

        def fail_once() -> None:
            if at.source.value == 1:
                at.source.value = 5
                raise ValueError("just now")

        at.source.blocker = fail_once
        failed, report = await at.run(2)

    assert (failed.tick, failed.reading) == (0, None)
    assert (report.tick, report.hole) == (1, GapReason.SOURCE)
    assert report.base is not None
    assert report.base.sample == 6


async def test_a_source_that_hangs_stops_nothing() -> None:
    """It is asked no more until it returns, what it then says is thrown away, and it goes on."""
    async with bench() as at:
        await at.run(3)
        gate = at.hang()
        hung = await at.run(4)
        assert (at.sampler.state, at.sampler.error) == (
            State.HANGING,
            "sample() has not returned for 0.01 s",
        )
        asked = at.sampler.samples
        await at.release(gate)
        report, after = await at.run(2)

    assert [(r.tick, r.reading) for r in hung] == [(t, None) for t in (3, 4, 5, 6)]
    assert asked == 5
    assert (report.tick, report.hole, at.sampler.state) == (7, GapReason.SOURCE, State.STOPPED)
    assert report.base is not None
    # 4 samples were taken for 3 publications; the fifth was too late.
    assert report.base.sample == 6
    assert (after.tick, after.hole) == (8, None)


async def test_what_hung_may_fail_in_the_end() -> None:
    """Nobody asks for it any more, and nobody is bothered."""
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    async with bench() as at:
        await at.one()
        gate = at.hang()
        await at.one()
        at.source.failure = ValueError("at last")
        await at.release(gate)
        assert at.sampler.state is State.HANGING
        at.source.failure = None
        report = await at.one()

    assert report.hole is GapReason.SOURCE
    assert not complaints


async def test_a_source_that_hangs_does_not_hold_up_another() -> None:
    """Each has its own loop and thread."""
    manual = ManualClock(now=ORIGIN)
    async with bench(manual=manual) as stuck, bench(manual=manual) as well:
        gate = stuck.hang()
        moment = await manual.sleeping(2)
        while len(well.reports) < 6:
            manual.advance_to(moment)
            moment = await manual.sleeping(2)
        await stuck.release(gate)

    assert [(r.tick, r.hole) for r in well.reports] == [(tick, None) for tick in range(6)]
    assert [(r.tick, r.reading) for r in stuck.reports[:6]] == [(t, None) for t in range(6)]


async def test_stopping_does_not_wait_for_a_source_that_hangs() -> None:
    """The call is left to its thread; also if it was not yet taken for hung."""
    at = Bench(SyntheticSource(), ManualClock(now=ORIGIN))
    at.source.blocker = gate = Gate()
    at.sampler.start(ORIGIN)
    assert await asyncio.to_thread(gate.entered.wait, 30)

    async with asyncio.timeout(1):
        await at.sampler.stop()

    assert at.sampler.state is State.STOPPED
    assert not gate.opened.is_set()
    gate.opened.set()


@pytest.mark.parametrize(
    ("took", "tick", "hole"), [(1.5, 4, None), (2.5, 5, GapReason.SOURCE)], ids=["late", "missed"]
)
async def test_a_slow_source_is_late_by_its_own_fault(
    took: float, tick: int, hole: GapReason | None
) -> None:
    """What it misses is no overload of the machine; it is not taken for failing."""
    async with bench() as at:
        await at.run(3)
        delays = [took]

        def dawdle() -> None:
            at.manual.now += delays.pop() if delays else 0

        at.source.blocker = dawdle
        slow, after, *_ = await at.run(2)
        assert at.sampler.state is State.OK

    assert (slow.tick, slow.hole) == (3, None)
    assert (after.tick, after.hole) == (tick, hole)


async def test_a_source_that_is_not_there_is_tried_less_and_less_often() -> None:
    """After 1, 3, 7, 15, 30, 30 ticks of rest; at once again when it was there."""
    async with bench() as at:
        at.source.vanish("no engine")
        gone = await at.run(7)
        assert (at.sampler.state, at.sampler.error) == (State.UNAVAILABLE, "no engine")
        at.source.failure = None
        report, after = await at.run(2)
        at.source.vanish("no engine")
        again = await at.run(2)

    ticks = [r.tick for r in gone]
    rests = [late - early - 1 for early, late in itertools.pairwise(ticks)]
    assert rests == [1, 3, 7, 15, BACKOFF_MAX_TICKS, BACKOFF_MAX_TICKS]
    assert {r.reading for r in gone} == {None}
    assert report.tick == ticks[-1] + 1 + BACKOFF_MAX_TICKS
    assert report.hole is GapReason.SOURCE
    assert after.tick == report.tick + 1
    assert again[1].tick - again[0].tick - 1 == 1


@pytest.mark.parametrize("hang", [False, True])
async def test_whatever_is_raised_on_the_way_to_a_subscriber_is_logged(
    caplog: pytest.LogCaptureFixture,
    hang: bool,  # noqa: FBT001
) -> None:
    """The source goes on, also one that falls asleep just then."""
    async with bench(SyntheticSource(always=hang)) as at:
        at.fault = ValueError("a subscriber's")
        if not hang:
            await until(lambda: bool(at.reports))
            at.sampler.want(60)
        ticks = [report.tick for report in await at.run(3)]

    assert ticks == [0, 1, 2]
    assert set(caplog.messages) == {"a report of synthetic was not taken"}
    assert len(caplog.messages) == len(at.reports)


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop turn until something has become true."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - nobody announces it
            await asyncio.sleep(0)


# Sources that sleep


@contextlib.asynccontextmanager
async def sleeper(source: SyntheticSource | None = None) -> AsyncIterator[Bench]:
    """A sampler of a costly source, that nobody has asked for yet."""
    async with bench(source or SyntheticSource(always=False)) as at:
        await until(lambda: at.sampler.state is State.ASLEEP)
        yield at


async def awake_for(at: Bench, seconds: float) -> list[Report]:
    """Want a source for so long; return what it reports until it has fallen asleep."""
    have = len(at.reports)
    at.sampler.want(seconds)
    await until(lambda: at.sampler.state is not State.ASLEEP)
    while at.sampler.state is not State.ASLEEP:
        await until(lambda: at.sampler.state is State.ASLEEP or at.manual.sleepers > 0)
        if at.manual.sleepers:
            await at.manual.wake()
    return at.reports[have:-1]


async def test_a_source_that_nobody_wants_is_not_asked() -> None:
    """It reports that it sleeps, once, and is not dead."""
    async with sleeper() as at:
        at.manual.advance(3600)
        await asyncio.sleep(0)

        assert at.sampler.samples == 0
        assert [(r.tick, r.asleep, r.reading) for r in at.reports] == [(0, True, None)]
        assert not at.sampler.dead


async def test_a_source_wakes_when_it_is_wanted_and_sleeps_again() -> None:
    """The first publication after it bears the hole, the very first does not; ticks go on."""
    async with sleeper() as at:
        at.manual.advance(10)
        first = await awake_for(at, 3.5)
        at.manual.advance(100)
        second = await awake_for(at, 1.5)

    assert [(r.tick, r.hole) for r in first] == [(tick, None) for tick in range(10, 15)]
    assert [(r.tick, r.hole) for r in second] == [
        (114, GapReason.IDLE),
        (115, None),
        (116, None),
    ]
    assert first[0].base is not None
    assert second[0].base is not None
    assert [r.asleep for r in at.reports].count(True) == 3


async def test_the_longest_wish_counts() -> None:
    """And one for no time at all wakes nobody."""
    async with sleeper() as at:
        at.sampler.want(0)
        await asyncio.sleep(0)
        assert at.sampler.state is State.ASLEEP
        at.sampler.want(3.5)
        reports = await awake_for(at, 1)

    assert [r.tick for r in reports] == [0, 1, 2, 3, 4]


async def test_a_source_woken_in_the_tick_in_which_it_fell_asleep_waits_for_the_next() -> None:
    """No tick is published twice."""
    async with sleeper() as at:
        before = await awake_for(at, 0.5)
        at.manual.advance(0.1)
        after = await awake_for(at, 0.5)

    assert [(r.tick, seconds(r)) for r in before] == [(0, 0.2), (1, 1)]
    assert [(r.tick, seconds(r)) for r in after] == [(2, 2.2)]
    assert after[0].hole is GapReason.IDLE


async def test_a_source_woken_within_a_tick_is_sampled_at_once() -> None:
    """Who asks does not wait for the grid."""
    async with sleeper() as at:
        at.manual.advance(7.6)
        at.sampler.want(60)
        first, second, third = await at.run(3)

    assert (first.tick, seconds(first)) == (7, 7.8)
    assert (second.tick, seconds(second)) == (8, 8)
    assert (third.tick, seconds(third)) == (9, 9)


async def test_sleep_is_idleness_whatever_the_clocks_did_meanwhile() -> None:
    """A wall clock that is slewed for hours is off by more than a step."""
    async with sleeper() as at:
        await awake_for(at, 0.5)
        at.manual.step(5)
        after = await awake_for(at, 1.5)

    assert [r.hole for r in after] == [GapReason.IDLE, None]


async def test_a_missing_source_that_slept_is_tried_at_once() -> None:
    """However rarely it was tried before."""
    async with sleeper() as at:
        at.source.vanish("no engine")
        tried = await awake_for(at, 60)
        at.manual.advance(1)
        at.source.failure = None
        asked = at.now
        (report,) = await awake_for(at, 0.1)

    rests = [late.tick - early.tick for early, late in itertools.pairwise(tried)]
    assert rests == [2, 4, 8, 16, 31]
    assert report.tick == asked


async def test_a_source_that_hung_in_its_sleep_is_found_hanging() -> None:
    """It is not taken for one that is about to start."""
    async with sleeper() as at:
        gate = at.hang()
        hung = await awake_for(at, 0.1)
        at.sampler.want(60)
        hung.append(await at.one())
        state = at.sampler.state
        await at.release(gate)

    assert {r.reading for r in hung} == {None}
    assert state is State.HANGING


# Rest


@define(eq=False)
class Holder(SyntheticSource):
    """A source that holds something from its first sample on; its threads, and how often it let go.

    ``rested`` is set whenever it did, ``unrest`` is what it fails with.
    """

    threads: set[int] = field(factory=set)
    held: bool = False
    rests: int = 0
    unrest: Exception | None = None
    rested: threading.Event = field(factory=threading.Event)

    def sample(self) -> int:
        self.threads.add(threading.get_ident())
        self.held = True
        return super().sample()

    def rest(self) -> None:
        assert self.held
        self.threads.add(threading.get_ident())
        self.rests += 1
        self.held = False
        self.rested.set()
        if self.unrest is not None:
            raise self.unrest


async def rested(source: Holder) -> None:
    """Wait until the source has let go, whatever became of it."""
    assert await asyncio.to_thread(source.rested.wait, 30)
    source.rested.clear()


async def test_a_source_that_falls_asleep_lets_go_of_what_it_holds() -> None:
    """On its own thread, each time, and only if it has held something."""
    source = Holder(always=False)
    async with sleeper(source) as at:
        assert source.rests == 0
        for _ in range(2):
            await awake_for(at, 1.5)
            await rested(source)
            at.manual.advance(10)

    assert source.rests == 2
    assert len(source.threads) == 1
    assert threading.get_ident() not in source.threads


async def test_a_source_that_is_woken_while_it_rests_is_sampled_after_that() -> None:
    """One call after the other."""
    source, gate = Holder(always=False), Gate()
    async with sleeper(source) as at:
        await awake_for(at, 0.5)
        await rested(source)
        at.sampler._worker.call(gate)
        at.manual.advance(10)
        at.sampler.want(0.5)
        await until(lambda: at.sampler.state is State.STARTING)
        assert not source.held
        gate.opened.set()
        report = await at.one()

    assert (report.tick, report.hole) == (11, GapReason.IDLE)


async def test_a_source_that_is_stopped_lets_go_of_what_it_holds() -> None:
    """Also one that never sleeps."""
    source = Holder()
    async with bench(source) as at:
        await at.run(2)
        assert source.rests == 0
    await rested(source)

    assert (source.rests, source.held) == (1, False)


async def test_stopping_does_not_wait_for_a_source_to_rest() -> None:
    """A connection that hangs may take its time."""
    source, gate = Holder(), Gate()
    at = Bench(source, ManualClock(now=ORIGIN))
    at.sampler.start(ORIGIN)
    await at.one()
    at.sampler._worker.call(gate)

    async with asyncio.timeout(1):
        await at.sampler.stop()

    assert at.sampler.state is State.STOPPED
    assert source.held
    gate.opened.set()
    await rested(source)


async def test_a_source_that_cannot_rest_is_logged_and_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Whatever it did not let go of."""
    source = Holder(always=False, unrest=OSError("no way"))
    async with sleeper(source) as at:
        await awake_for(at, 0.5)
        await rested(source)
        await until(lambda: bool(caplog.messages))
        at.manual.advance(10)
        (report,) = await awake_for(at, 0.1)

    assert "source synthetic cannot rest: OSError('no way')" in caplog.messages
    assert report.reading is not None


# Life


async def test_starting_and_stopping_twice_is_once() -> None:
    """There is one loop, and then none."""
    at = Bench(SyntheticSource(), ManualClock(now=ORIGIN))
    states = [at.sampler.state]
    await at.sampler.stop()
    states.append(at.sampler.state)
    at.sampler.start(ORIGIN)
    at.sampler.start(ORIGIN + 0.5)
    states.append(at.sampler.state)

    reports = await at.run(3)
    states.append(at.sampler.state)
    await at.sampler.stop()
    await at.sampler.stop()
    states.append(at.sampler.state)

    assert states == ["stopped", "stopped", "starting", "ok", "stopped"]
    assert [seconds(report) for report in reports] == [0.2, 1, 2]
    assert at.manual.sleepers == 0


@pytest.mark.parametrize("pause", [0, 0.5, 100])
async def test_a_sampler_that_is_started_again_goes_on_counting(pause: float) -> None:
    """The log has ticks only rise; what was not sampled meanwhile is a hole."""
    async with bench() as at:
        await at.run(3)
        await at.sampler.stop()
        at.manual.advance(pause)
        at.sampler.start(ORIGIN)
        first, second = await at.run(2)

    assert (first.tick, first.hole) == (max(3, math.floor(2 + pause)), GapReason.IDLE)
    assert first.base is not None
    assert (second.tick, second.hole) == (first.tick + 1, None)


async def test_a_source_is_dead_when_it_has_published_nothing_for_long() -> None:
    """Before the first publication too."""
    async with bench() as at:
        dead = [at.sampler.dead]
        await at.one()
        published = at.manual.now
        dead.append(at.sampler.dead)
        at.source.failure = ValueError("no")
        at.manual.now = published + DEAD_TICKS
        dead.append(at.sampler.dead)
        at.manual.now += 0.001
        dead.append(at.sampler.dead)
        at.source.failure = None
        await at.one()
        dead.append(at.sampler.dead)

    assert dead == [True, False, False, True, False]


async def test_a_report_is_expected_of_a_source_that_is_usually_prompt() -> None:
    """Neither of one that has reported, nor of one that is slow, or fails, or has yet to begin."""
    async with bench() as at:
        assert not at.sampler.expected(0)
        await at.one()
        assert [at.sampler.expected(tick) for tick in (0, 1, 2)] == [False, True, True]

        def dawdle(by: float) -> Callable[[], None]:
            def blocker() -> None:
                at.manual.now += by

            return blocker

        at.source.blocker = dawdle(PROMPT_S * 0.9)
        await at.one()
        assert at.sampler.expected(2)
        at.source.blocker = dawdle(PROMPT_S * 1.1)
        await at.one()
        assert not at.sampler.expected(3)
        at.source.blocker = None
        await at.one()
        assert at.sampler.expected(4)
        at.source.failure = ValueError("no")
        await at.one()
        assert not at.sampler.expected(5)
    assert not at.sampler.expected(6)
