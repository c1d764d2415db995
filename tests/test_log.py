"""The log: one count, bounded rings, and windows that are exact or say that they cannot be."""

from __future__ import annotations

import itertools
import re

import pytest
from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st

from app.core.log import TRIM_AT, Log, Publication, Reading, Ring
from app.core.source import Window
from schema.cursor import Cursor
from schema.fields import GapReason

KEEP = 960
HOST = "here"


def reading(tick: float) -> Reading:
    """A reading at a tick, whose sample is the tick."""
    return Reading(float(tick), round(tick * 1000), tick)


@define
class Writer:
    """Writes a log as a sampler would: the first and whatever follows a hole with a base."""

    log: Log
    channel: str = "metrics"
    published: list[Publication] = field(factory=list)

    @property
    def ring(self) -> Ring:
        return self.log.ring(self.channel, HOST)

    def publish(self, tick: int, hole: GapReason | None = None) -> Publication:
        base = reading(tick - 0.5) if hole or not self.published else None
        publication = self.log.append(self.channel, HOST, tick, reading(tick), base=base, hole=hole)
        self.published.append(publication)
        return publication

    def run(self, first: int, last: int) -> None:
        for tick in range(first, last + 1):
            self.publish(tick)


def writer(keep: int = KEEP) -> Writer:
    return Writer(Log(keep_ticks=keep))


@st.composite
def histories(draw: st.DrawFn) -> Writer:
    """Runs of ticks with holes between them, some of no tick at all, in a ring that may be short.

    A second channel publishes in between.
    """
    written = writer(draw(st.integers(1, 40)))
    other, seldom = Writer(written.log, "other"), draw(st.integers(1, 5))
    tick = draw(st.integers(0, 10))
    for run in draw(st.lists(st.integers(1, 90), min_size=1, max_size=6)):
        hole = GapReason.SOURCE if written.published else None
        for ahead in range(run):
            written.publish(tick + ahead, None if ahead else hole)
            if ahead % seldom == 0:
                other.publish(tick + ahead)
        tick += run + draw(st.integers(0, 20))
    return written


# One count


def test_an_epoch_names_one_life_of_the_log() -> None:
    """Short, of the letters that a cursor may have, and another one each time."""
    epochs = {Log(keep_ticks=KEEP).epoch for _ in range(100)}

    assert len(epochs) == 100
    assert all(re.fullmatch("[a-z0-9]{8}", epoch) for epoch in epochs)
    assert Cursor.parse(str(Log(keep_ticks=KEEP).cursor(7))).seq == 7
    assert Log(keep_ticks=KEEP, epoch="mine").cursor(7) == Cursor("mine", 7)


def test_all_channels_and_hosts_share_one_count() -> None:
    """Each has its own ring and its own ticks."""
    log = Log(keep_ticks=KEEP)
    places = [("metrics", "a"), ("containers", "a"), ("metrics", "b"), ("metrics", "a")]
    assert log.head == 0

    published = [
        log.append(channel, host, 5 + at, reading(5 + at), base=reading(4))
        for at, (channel, host) in enumerate(places)
    ]

    assert [item.seq for item in published] == [1, 2, 3, 4]
    assert [(item.channel, item.host) for item in published] == places
    assert [item.previous_tick for item in published] == [None, None, None, 5]
    assert log.head == 4
    assert log.ring("metrics", "a").after(0) == [published[0], published[3]]
    assert log.ring("metrics", "b").after(0) == [published[2]]
    assert log.ring("metrics", "a") is log.ring("metrics", "a")


def test_a_ring_begins_empty() -> None:
    """There is no newest, nothing is held, and nothing was dropped."""
    ring = writer().ring

    assert ring.newest is None
    assert ring.after(0) == []
    assert list(ring.backwards(10)) == []
    assert ring.dropped == 0


def test_the_first_publication_follows_no_hole() -> None:
    """Nobody passes what lies before the beginning."""
    written = writer()

    first = written.publish(7, GapReason.IDLE)
    second = written.publish(9, GapReason.SOURCE)

    assert (first.hole, second.hole) == (None, GapReason.SOURCE)


def test_a_publication_wakes_its_ring() -> None:
    """What slept has something to say again."""
    written = writer()
    written.ring.asleep = True

    written.publish(1)

    assert not written.ring.asleep
    assert written.ring.newest is written.published[0]


@given(
    ticks=st.lists(st.integers(0, 400), min_size=1, max_size=30, unique=True).map(sorted),
    interval=st.integers(1, 60),
)
def test_a_publication_is_due_where_a_multiple_of_the_interval_was_reached(
    ticks: list[int], interval: int
) -> None:
    """At it, or on the way from the publication before; the first one is due for all."""
    written = writer()
    due = [written.publish(tick).due(interval) for tick in ticks]

    ways = [range(before + 1, tick + 1) for before, tick in itertools.pairwise(ticks)]
    assert due == [True, *(any(tick % interval == 0 for tick in way) for way in ways)]


# What is held


def test_15_minutes_and_what_their_windows_need_are_held() -> None:
    """Each of the newest 900 ticks can be told with a window of 60; much older ones are gone."""
    written = writer(900 + 60)
    written.run(1, 3000)

    past = [written.ring.window(item, 60) for item in written.published[-900:]]

    assert {window.seconds for window in past if window is not None} == {60.0}
    assert None not in past
    assert len(written.ring.after(0)) <= KEEP + TRIM_AT + 1


@given(histories())
def test_what_is_young_is_held_and_what_is_old_is_dropped(written: Writer) -> None:
    """The age counts in ticks, and ``dropped`` says where what is held begins."""
    held = written.ring.after(0)
    newest, keep = written.published[-1].tick, written.ring.keep_ticks

    assert held == written.published[-len(held) :]
    assert all(item in held for item in written.published if item.tick > newest - keep)
    assert all(item.tick >= newest - keep - TRIM_AT for item in held)
    gone = written.published[: -len(held)]
    assert written.ring.dropped == (gone[-1].seq if gone else 0)
    assert written.ring.newest is written.published[-1]


@given(histories(), st.data())
def test_the_ring_is_read_from_any_place_in_both_directions(
    written: Writer, data: st.DataObject
) -> None:
    """A place need not be a publication of this channel."""
    seq = data.draw(st.integers(0, written.log.head + 1))
    held = written.ring.after(0)

    assert written.ring.after(seq) == [item for item in held if item.seq > seq]
    assert list(written.ring.backwards(seq)) == [item for item in held if item.seq <= seq][::-1]


# Windows


def spans(window: Window | None) -> tuple[float, float] | None:
    return None if window is None else (window.first, window.last)


def test_a_window_is_exactly_the_interval() -> None:
    """With all samples in between, and the time by the monotonic clock."""
    written = writer()
    written.run(1, 100)

    window = written.ring.window(written.published[-1], 5)

    assert window == Window((95, 96, 97, 98, 99, 100), 5.0)


@pytest.mark.parametrize(
    ("tick", "first"), [(1, 0.5), (3, 0.5), (5, 0.5), (6, 1), (7, 2)], ids=repr
)
def test_a_window_is_shorter_while_the_source_is_young(tick: int, first: float) -> None:
    """It begins with the sample that was taken only for it."""
    written = writer()
    written.run(1, 7)

    assert spans(written.ring.window(written.published[tick - 1], 5)) == (first, tick)


@pytest.mark.parametrize("hole", [*GapReason][:4])
def test_a_window_never_spans_a_hole(hole: GapReason) -> None:
    """Neither one of several ticks, nor one between two consecutive ones (a wall clock step)."""
    written = writer()
    written.run(1, 20)
    written.publish(21, hole)
    written.publish(22)
    written.publish(30, hole)
    written.run(31, 40)

    windows = [spans(written.ring.window(item, 5)) for item in written.published[-13:]]

    assert windows[:6] == [(20.5, 21), (20.5, 22), (29.5, 30), (29.5, 31), (29.5, 32), (29.5, 33)]
    assert windows[6:8] == [(29.5, 34), (30, 35)]


def test_a_window_whose_beginning_is_no_longer_held_is_none() -> None:
    """It would be told too short, and differ from what others were told."""
    written = writer(keep=10)
    written.run(1, 76)
    oldest = written.ring.after(0)[:3]
    assert [item.tick for item in oldest] == [67, 68, 69]

    windows = [spans(written.ring.window(item, 2)) for item in oldest]

    assert windows == [None, None, (67, 69)]


def slowly(written: Writer, publication: Publication, ticks: int) -> tuple[float, float] | None:
    """Work a window out from all that was ever published."""
    until = written.published[: written.published.index(publication) + 1]
    primed = max(at for at, item in enumerate(until) if item.base is not None)
    by_tick = {item.tick: item for item in until[primed:]}
    first = by_tick.get(publication.tick - ticks)
    begin = first or until[primed]
    if begin not in written.ring.after(0):
        return None
    return (begin.reading.sample if first else begin.tick - 0.5, publication.tick)


@given(histories(), st.integers(1, 60))
def test_windows_are_those_of_a_slow_calculation(written: Writer, ticks: int) -> None:
    """Whatever was published, lost and let go."""
    for item in written.ring.after(0):
        window = written.ring.window(item, ticks)

        assert spans(window) == slowly(written, item, ticks)
        if window is not None:
            assert window.seconds == window.last - window.first
            assert list(window.samples) == sorted(set(window.samples))
            assert len(window.samples) >= 2
