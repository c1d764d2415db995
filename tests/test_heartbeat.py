"""Heartbeats: no stream is silent for longer than the period, and none beats without need."""

from __future__ import annotations

import itertools

from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st

from app.core.heartbeat import RESOLUTION_S, Wheel, next_turn

PERIOD_S = 15.0


@define(eq=False)
class Stream:
    """A stream, with the moments at which it was sent anything, and those of its heartbeats."""

    last_sent: float
    sent: list[float] = field(factory=list)
    beats: int = 0

    def __attrs_post_init__(self) -> None:
        self.sent.append(self.last_sent)

    @property
    def silent_since(self) -> float:
        return self.last_sent

    def send(self, now: float) -> None:
        self.last_sent = now
        self.sent.append(now)

    def beat(self) -> None:
        self.beats += 1


def turn(wheel: Wheel, streams: list[Stream], now: float) -> list[Stream]:
    """Turn a wheel, and return the streams that beat."""
    before = [stream.beats for stream in streams]
    wheel.turn(now)
    beating = [s for s, beats in zip(streams, before, strict=True) if s.beats > beats]
    for stream in beating:
        assert stream.last_sent == now
        stream.sent.append(now)
    return beating


@given(st.floats(0, 1e6))
def test_the_wheel_is_turned_on_a_grid_that_does_not_drift(now: float) -> None:
    """Once in each of its steps, however late the last turn was."""
    following = next_turn(now)

    assert now < following <= now + RESOLUTION_S
    assert following % RESOLUTION_S == 0


@given(
    period=st.floats(1, 30),
    joins=st.lists(st.floats(0, 20), min_size=1, max_size=5),
    sends=st.lists(st.tuples(st.integers(0, 4), st.floats(0, 90)), max_size=20),
    delays=st.lists(st.floats(0, RESOLUTION_S, exclude_max=True), min_size=1, max_size=30),
)
def test_no_stream_is_silent_for_longer_than_the_period(
    period: float,
    joins: list[float],
    sends: list[tuple[int, float]],
    delays: list[float],
) -> None:
    """Nor beats earlier than two turns before that; also if each turn comes somewhat late."""
    wheel = Wheel(period)
    streams: list[Stream] = []
    events = sorted(
        [(moment, None) for moment in joins] + [(moment, which) for which, moment in sends],
        key=lambda event: event[0],
    )
    now = 0.0
    for at in range(400):
        last, now = now, at * RESOLUTION_S + delays[at % len(delays)]
        for moment, which in (event for event in events if last <= event[0] < now):
            if which is None:
                streams.append(Stream(moment))
                wheel.add(streams[-1])
            elif which < len(streams):
                streams[which].send(moment)
        silence = [now - stream.last_sent for stream in streams]
        beating = turn(wheel, streams, now)
        assert all(
            silent > period - 2 * RESOLUTION_S
            for stream, silent in zip(streams, silence, strict=True)
            if stream in beating
        )
    for stream in streams:
        times = [*stream.sent, now]
        assert max(b - a for a, b in itertools.pairwise(times)) <= period


@given(
    sent=st.lists(st.floats(0, 30), min_size=1, max_size=8),
    turns=st.lists(st.floats(0, 60), min_size=1, max_size=20).map(sorted),
)
def test_a_turn_that_comes_much_too_late_leaves_nobody_out(
    sent: list[float], turns: list[float]
) -> None:
    """Whoever has been silent for too long by then beats at once, and once."""
    wheel = Wheel(PERIOD_S)
    streams = [Stream(0.0) for _ in sent]
    for stream in streams:
        wheel.add(stream)
    for stream, moment in zip(streams, sent, strict=True):
        stream.send(moment)

    for now in turns:
        overdue = [stream for stream in streams if stream.last_sent + PERIOD_S <= now]
        beating = turn(wheel, streams, now)
        assert set(overdue) <= set(beating)


def test_a_silent_stream_beats_once_a_period() -> None:
    """Not once a turn."""
    wheel, stream = Wheel(PERIOD_S), Stream(0.0)
    wheel.add(stream)

    for at in range(4 * 60):
        turn(wheel, [stream], at * RESOLUTION_S)

    assert stream.beats == 4


def test_a_stream_that_was_discarded_beats_no_more() -> None:
    """Discarding it twice, or one that was never there, is no fault."""
    wheel = Wheel(PERIOD_S)
    gone, stays = Stream(0.0), Stream(0.0)
    wheel.add(gone)
    wheel.add(stays)

    wheel.discard(gone)
    wheel.discard(gone)
    wheel.discard(Stream(0.0))

    assert turn(wheel, [gone, stays], PERIOD_S) == [stays]
    wheel.discard(stays)
    assert turn(wheel, [gone, stays], 10 * PERIOD_S) == []
