"""Windows of the host source: exact means of honest counters, and no spike of the others."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import partial
from itertools import accumulate, combinations, pairwise
from types import SimpleNamespace

import pytest
from attrs import evolve, frozen
from hypothesis import example, given
from hypothesis import strategies as st

from app.core.clock import Clock
from app.core.source import Window
from app.sources.devices.space import DiskSpace
from app.sources.groups.cpu import (
    BUSY,
    IDLE,
    CpuMeter,
    CpuTime,
    Shares,
    percent,
    shares_between,
    usage_between,
    usage_max,
)
from app.sources.groups.kept import Groups
from app.sources.groups.memory import MemorySpace
from app.sources.groups.sample import HostSample
from app.sources.host import HostSource
from schema.codec import decode_server, encode
from schema.cursor import Cursor
from schema.fields import Detail
from schema.metrics import MetricsMessage, Simple, Standard

CORES = 4
JIFFIES = 100  # in a second
WRAPPED = 2**64 / JIFFIES  # seconds: what a counter that fell below zero shows
LINUX = BUSY + IDLE

SAMPLE = HostSample(
    cpu=CpuTime(0, 0, 12.5),
    cores=CORES,
    load_avg=(0.5, 0.25, 0.125),
    memory=MemorySpace(1000, 250),
    disk=DiskSpace("/", 1000, 300, 500),
    uptime=12.345,
    hostname="workshop",
)

SOURCE = HostSource()

Counters = dict[str, float]


@frozen
class Moment:
    """What a machine shows at a time, in monotonic seconds."""

    time: float
    counters: Counters


def counted(stream: Iterable[Moment], processors: int = CORES) -> list[CpuTime]:
    """Let a meter read a machine's moments, each once; where it fails the last value stands."""
    shown = SimpleNamespace()
    meter = CpuMeter(
        lambda: SimpleNamespace(**shown.moment.counters),
        lambda: processors,
        lambda: float(shown.moment.time),
    )
    kept = Groups(Clock()).kept("cpu", "processor times", meter)
    counts = []
    for shown.moment in stream:
        counts.append(kept())
    return counts


def rendered(counts: list[CpuTime]) -> float:
    """Give ``cpu`` of a message about a window of these counts."""
    ends = [evolve(SAMPLE, cpu=count) for count in (counts[0], counts[-1])]
    payload = SOURCE.render(Window(ends, float(len(counts))), Detail.SIMPLE)
    assert isinstance(payload, Simple)
    return payload.cpu


def added(counters: Counters, step: Counters, times: int = 1) -> Counters:
    """Give counters that have gone on, by steps of whole jiffies."""
    return {
        name: round(value * JIFFIES + times * step.get(name, 0)) / JIFFIES
        for name, value in counters.items()
    }


def running(steps: list[Counters], start: float = 1000.0) -> list[Moment]:
    """Give the moments of a machine that counts honestly, a second apart; steps in jiffies."""
    counters = accumulate(steps, added, initial=dict.fromkeys(LINUX, start))
    return [Moment(float(time), values) for time, values in enumerate(counters)]


def mean(first: Counters, last: Counters) -> float:
    """Reckon a window's busy percentage in the plainest way."""
    passed = {name: round((last[name] - first[name]) * JIFFIES) for name in last}
    busy = sum(passed[name] for name in BUSY if name in passed)
    return 100 * busy / sum(passed.values())


def share(busy: int, idle: int) -> Counters:
    """Give a second's load of so many busy and idle jiffies, spread over several counters."""
    rest = busy // 3
    return {
        "user": busy - 2 * rest, "system": rest, "steal": rest, "idle": idle - idle // 4,
        "iowait": idle // 4,
    }  # fmt: skip


# A second of all processors, in jiffies: from nothing at all to what they have to give.
steps = st.dictionaries(st.sampled_from(LINUX), st.integers(0, 50), max_size=len(LINUX))
loads = st.integers(0, CORES * JIFFIES).map(lambda busy: share(busy, CORES * JIFFIES - busy))
busy_steps = st.lists(loads, min_size=1, max_size=60)


@given(busy_steps, st.data())
def test_the_mean_over_any_window_is_that_of_its_two_ends(
    loads: list[Counters], data: st.DataObject
) -> None:
    """Counters that only grow give the exact mean, to the rounding of two decimals."""
    stream = running(loads)
    first = data.draw(st.integers(0, len(stream) - 2))
    last = data.draw(st.integers(first + 1, len(stream) - 1))
    counts = counted(stream)[first : last + 1]
    assert rendered(counts) == round(mean(stream[first].counters, stream[last].counters), 2)


@given(st.lists(loads, min_size=60, max_size=60))
def test_a_minute_is_the_mean_of_its_sixty_seconds(loads: list[Counters]) -> None:
    """Sixty equal steps weigh the same, so the long window is the mean of the short ones."""
    counts = counted(running(loads))
    seconds = [usage_between(*pair) for pair in pairwise(counts)]
    assert rendered(counts) == pytest.approx(sum(seconds) / 60, abs=0.011)


# What may happen to a machine's counters between two readings.


def go_on(step: Counters, moment: Moment) -> Moment:
    return Moment(moment.time + 1, added(moment.counters, step))


def put(name: str, value: float, moment: Moment) -> Moment:
    return Moment(moment.time + 1, moment.counters | {name: value})


def move(name: str, by: float, moment: Moment) -> Moment:
    return put(name, moment.counters.get(name, 0.0) + by, moment)


def vanish(name: str, moment: Moment) -> Moment:
    return Moment(
        moment.time + 1, {key: value for key, value in moment.counters.items() if key != name}
    )


def restart(moment: Moment) -> Moment:
    return Moment(moment.time + 1, dict.fromkeys(LINUX, 0.0))


def turn_clock(by: float, moment: Moment) -> Moment:
    return evolve(moment, time=moment.time + by)


names = st.sampled_from(LINUX)
amounts = st.floats(0, WRAPPED) | st.sampled_from([0.0, WRAPPED, 2**32 / JIFFIES, 1e308])
nonsense = st.sampled_from([math.nan, math.inf, -math.inf, -1.0])
events = st.one_of(
    st.builds(partial, st.just(go_on), steps | loads),
    st.builds(partial, st.just(put), names, amounts | nonsense),
    st.builds(partial, st.just(move), names, st.floats(-100, 100)),
    st.builds(partial, st.just(vanish), names),
    st.just(restart),
    st.builds(partial, st.just(turn_clock), st.floats(-4000, 4000)),
)
Event = Callable[[Moment], Moment]


def happen(happenings: list[Event]) -> list[CpuTime]:
    """Count on a machine to which all this happens."""
    start = Moment(0.0, dict.fromkeys(LINUX, 1000.0))
    finite = accumulate(happenings, lambda moment, event: event(sound(moment)), initial=start)
    return counted(finite)


def sound(moment: Moment) -> Moment:
    """Replace what no arithmetic goes on from."""
    sane = {name: value if abs(value) < 1e300 else 0.0 for name, value in moment.counters.items()}
    return evolve(moment, counters=sane)


chaos = st.lists(events, min_size=1, max_size=30)


@given(chaos)
def test_whatever_counters_do_a_percentage_is_0_to_100(happenings: list[Event]) -> None:
    """No stream of counters gets a number out of range, or none at all, into a message."""
    for first, last in combinations(happen(happenings), 2):
        assert 0 <= rendered([first, last]) <= 100


@given(chaos)
def test_what_is_counted_only_grows(happenings: list[Event]) -> None:
    """Nothing takes counted time back, and none is counted that there cannot have been."""
    for earlier, later in pairwise(happen(happenings)):
        assert later.busy >= earlier.busy
        assert later.idle >= earlier.idle


@given(chaos, st.data())
def test_a_window_is_the_weighted_mean_of_its_parts(
    happenings: list[Event], data: st.DataObject
) -> None:
    """Splitting a window and putting it together again loses and invents nothing."""
    counts = happen(happenings)
    where = st.integers(0, len(counts) - 1)
    first, middle, last = (
        counts[index] for index in sorted(data.draw(st.tuples(where, where, where)))
    )
    before = middle.busy + middle.idle - first.busy - first.idle
    after = last.busy + last.idle - middle.busy - middle.idle
    parts = before * usage_between(first, middle) + after * usage_between(middle, last)
    whole = usage_between(first, last)
    assert parts == pytest.approx((before + after) * whole, abs=0.02 * (before + after))


glitches = st.one_of(
    st.builds(partial, st.just(put), names, st.sampled_from([0.0, WRAPPED])),
    st.builds(partial, st.just(move), names, st.sampled_from([-500.0, 1e6])),
    st.builds(partial, st.just(vanish), names),
    st.just(restart),
)


@given(loads, st.lists(st.tuples(st.integers(3, 6), glitches | st.none()), max_size=8))
@example(share(100, 300), [(3, partial(vanish, "idle"))])
@example(share(100, 300), [(3, partial(put, "idle", 0.0)), (3, None), (3, restart)])
def test_no_glitch_and_no_reset_moves_the_figure_of_a_steady_load(
    load: Counters, story: list[tuple[int, Event | None]]
) -> None:
    """One odd reading, or counters that begin anew (None), are not seen in any window."""
    truth = Moment(0.0, added(dict.fromkeys(LINUX, 0.0), load, 100_000))
    stream = [truth]
    for quiet, event in [*story, (3, None)]:
        for _ in range(quiet):
            truth = go_on(load, truth)
            stream.append(truth)
        odd = (event or restart)(truth)
        truth = go_on(load, truth) if event else odd
        stream.append(odd)
    steady = mean(dict.fromkeys(load, 0.0), load)
    for first, last in combinations(counted(stream), 2):
        assert usage_between(first, last) == round(steady, 2)


def test_a_glitch_costs_no_time() -> None:
    """What passed during one odd reading is counted with the next."""
    stream = running([share(300, 100)] * 4)
    stream[2] = restart(stream[1])
    counts = counted(stream)
    assert counts[2] == counts[1]
    assert counts[3].busy - counts[1].busy == 6_000_000


def test_a_reset_costs_one_step() -> None:
    """Counters that begin anew are believed at their second reading."""
    before, after = running([share(300, 100)] * 2), running([share(100, 300)] * 2, start=0.0)
    counts = counted([*before, *(evolve(moment, time=moment.time + 3) for moment in after)])
    assert [later.busy - earlier.busy for earlier, later in pairwise(counts)] == [
        3_000_000, 3_000_000, 0, 1_000_000, 1_000_000,
    ]  # fmt: skip


def test_a_window_in_which_nothing_was_counted_keeps_the_last_known_usage() -> None:
    """Two readings within one jiffy are no reason for a fake zero."""
    stream = [*running([share(300, 100)]), *running([share(300, 100)])[-1:] * 2]
    assert rendered(counted(stream)[-2:]) == 75.0


def test_the_first_figure_without_a_step_is_the_mean_since_boot() -> None:
    """Even then it is a real figure."""
    still = Moment(0.0, {"user": 30.0, "system": 10.0, "idle": 160.0})
    assert rendered(counted([still, still])) == 20.0


def test_the_figure_after_a_first_reading_is_not_the_mean_since_boot() -> None:
    """Two samples are enough for the truth about now."""
    assert rendered(counted(running([share(300, 100)]))) == 75.0


def test_time_that_moves_back_from_iowait_to_idle_is_no_step_back() -> None:
    """It may decrease (proc_stat(5)), and is judged together with idle."""
    stream = running([{"user": 100, "idle": 350, "iowait": -50}])
    assert rendered(counted(stream)) == 25.0


def test_steal_is_busy_and_iowait_is_not() -> None:
    """Time that the hypervisor took was wanted; time waiting for a disk was free to be used."""
    assert rendered(counted(running([{"steal": 100, "iowait": 300}]))) == 25.0


def test_guest_time_is_not_counted_twice() -> None:
    """It is in user and nice already."""
    stream = running([{"user": 100, "idle": 300}])
    guests = [{"guest": 10.0 * moment.time, "guest_nice": 5.0 * moment.time} for moment in stream]
    both = [
        evolve(moment, counters=moment.counters | guest)
        for moment, guest in zip(stream, guests, strict=True)
    ]
    assert counted(both) == counted(stream)


@pytest.mark.parametrize("lacking", [(), ("iowait",), ("iowait", "steal", "irq", "softirq")])
def test_a_platform_may_lack_counters(lacking: tuple[str, ...]) -> None:
    """Nothing is counted for what is not there."""
    stream = [
        evolve(moment, counters={k: v for k, v in moment.counters.items() if k not in lacking})
        for moment in running([{"user": 100, "idle": 300}])
    ]
    assert rendered(counted(stream)) == 25.0


def test_idle_time_alone_is_a_figure() -> None:
    """A machine that counts nothing but idle time is idle, as far as it tells."""
    assert rendered(counted([Moment(0.0, {"idle": 1.0}), Moment(1.0, {"idle": 2.0})])) == 0.0


@pytest.mark.parametrize("counters", [{"user": 1.0}, {"idle": 0.0, "user": 0.0}])
def test_counters_without_idle_time_or_without_any_are_none(counters: Counters) -> None:
    """No figure is made up: the source fails."""
    with pytest.raises(ValueError, match=r"the system counts no"):
        counted([Moment(0.0, counters)])


def test_the_order_of_the_counters_does_not_matter() -> None:
    """Newer releases of psutil have them in another order."""
    stream = running([share(100, 300)])
    other = [evolve(m, counters=dict(reversed(m.counters.items()))) for m in stream]
    assert counted(other) == counted(stream)


def test_processors_that_are_plugged_in_are_noticed() -> None:
    """More time than the known processors have makes them be counted again, and then fits."""
    machine = SimpleNamespace(processors=1, asked=0)

    def processors() -> int:
        machine.asked += 1
        return int(machine.processors)

    meter = CpuMeter(
        lambda: SimpleNamespace(**machine.moment.counters),
        processors,
        lambda: float(machine.moment.time),
    )
    stream = running([share(25, 75)] * 3 + [share(1600, 4800)])
    counts = []
    for machine.moment in stream:
        machine.processors = 64 if machine.moment is stream[-1] else 1
        counts.append(meter())
    assert counts[-1].busy - counts[-2].busy == 16_000_000
    assert machine.asked == 2


# What time was spent for


def test_each_mode_has_its_share() -> None:
    """All but iowait add up to the usage."""
    load: Counters = {
        "user": 20,
        "nice": 4,
        "system": 10,
        "irq": 1,
        "softirq": 2,
        "steal": 3,
        "iowait": 8,
    }
    first, last = counted(running([load | {"idle": 352}]))
    shares = shares_between(first, last)
    assert shares == Shares(5.0, 1.0, 2.5, 0.25, 0.5, 0.75, 2.0)
    assert usage_between(first, last) == 10.0


@given(st.lists(steps | loads, min_size=1, max_size=10))
def test_the_busy_modes_add_up_to_the_usage(loads: list[Counters]) -> None:
    """To the rounding of six figures."""
    counts = counted(running(loads))
    for first, last in combinations(counts, 2):
        *busy, iowait = shares_between(first, last)
        if iowait is not None:
            known = [share for share in busy if share is not None]
            assert sum(known) == pytest.approx(usage_between(first, last), abs=0.04)


@given(chaos)
def test_whatever_counters_do_a_share_is_0_to_100_or_not_known(happenings: list[Event]) -> None:
    """No spike, and the highest usage is that of no tick that was not."""
    counts = happen(happenings)
    for (at, first), (end, last) in combinations(enumerate(counts), 2):
        assert all(s is None or 0 <= s <= 100 for s in shares_between(first, last))
        highest = usage_max(counts[at : end + 1])
        assert usage_between(first, last) <= highest <= 100


def test_time_that_moves_back_from_iowait_is_no_share() -> None:
    """And none of idle time that is not there."""
    first, last = counted(running([{"user": 100, "idle": 350, "iowait": -50}]))
    assert shares_between(first, last).iowait == 0.0


def test_a_mode_that_the_system_does_not_count_is_not_known() -> None:
    """The others are."""
    first, last = (
        evolve(moment, counters={"user": moment.counters["user"], "idle": moment.counters["idle"]})
        for moment in running([share(300, 100)])
    )
    shares = shares_between(*counted([first, last]))
    assert (shares.user, shares.iowait, shares.steal) == (57.14, None, None)


def test_a_window_in_which_modes_came_or_went_has_no_shares() -> None:
    """One after that has."""
    stream = running([share(300, 100)] * 6)
    for at in (3, 4, 5, 6):
        stream[at] = (
            vanish("steal", stream[at - 1])
            if at == 3
            else evolve(
                stream[at], counters={k: v for k, v in stream[at].counters.items() if k != "steal"}
            )
        )
    counts = counted(stream)
    assert shares_between(counts[0], counts[-1]) == Shares()
    assert shares_between(counts[-2], counts[-1]).user == 33.33
    assert usage_between(counts[-2], counts[-1]) == 66.67


def test_a_short_burst_is_in_the_mean_and_in_the_highest_tick() -> None:
    """2 seconds of a minute, on a machine with one processor."""
    idle: Counters = {"idle": JIFFIES}
    busy: Counters = {"user": JIFFIES}
    counts = counted(running([idle] * 29 + [busy] * 2 + [idle] * 29), processors=1)
    assert usage_between(counts[0], counts[-1]) == 3.33
    assert usage_max(counts) == 100.0


sizes = st.integers(0, 2**63 - 1)


@given(sizes, sizes, sizes, sizes)
def test_memory_and_disk_are_0_to_100_and_memory_adds_up(
    total: int, available: int, used: int, free: int
) -> None:
    """Whatever the sizes, including a file system of none, and all of it is JSON."""
    memory = MemorySpace(max(total, available, 1), available)
    sample = evolve(SAMPLE, memory=memory, disk=DiskSpace("/", total, used, free))
    payload = SOURCE.render(Window([SAMPLE, sample], 1.0), Detail.STANDARD)
    assert isinstance(payload, Standard)
    assert 0 <= payload.memory.usage <= 100
    assert 0 <= payload.disk.usage <= 100
    assert payload.memory.used + payload.memory.free == payload.memory.total
    message = MetricsMessage(0, Cursor("e", 1), "workshop", 1000, 1000, payload)
    assert decode_server(encode(message)) == message


@pytest.mark.parametrize(
    ("part", "whole", "share"), [(0, 0, 0), (5, 0, 0), (-5, 10, 0), (15, 10, 100), (1, 3, 33.33)]
)
def test_a_percentage_is_0_to_100(part: int, whole: int, share: float) -> None:
    """With two decimals, and 0 of nothing."""
    assert percent(part, whole) == share
