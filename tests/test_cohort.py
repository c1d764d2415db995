"""Cohorts: each message is rendered and encoded once, kept within bounds, and told again."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from typing import Any

import pytest
from attrs import define, evolve, field
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.broadcaster import HubSettings
from app.core.cache import FrameCache
from app.core.cohort import Cohort
from app.core.log import Publication, Reading
from app.core.source import Window
from schema.fields import Detail, GapReason
from schema.frame import Frame
from schema.messages import Subscribe
from tests.serving import DrivenHub
from tests.synthetic import Numbers, SyntheticSource
from transports.base import Wire

SETTINGS = HubSettings(host="here", version="0", epoch="e")


@define(eq=False)
class Spoilt(SyntheticSource):
    """A source that cannot render some of its own samples."""

    spoilt: dict[int, object] = field(factory=dict)

    def render(self, window: Window, detail: Detail) -> Any:  # noqa: ANN401
        payload = self.spoilt.get(window.last, super().render(window, detail))
        if isinstance(payload, Exception):
            raise payload
        return payload


@define(eq=False)
class Desk:
    """A hub whose log the test writes, and its cohorts."""

    source: SyntheticSource = field(factory=SyntheticSource)
    settings: HubSettings = SETTINGS
    hub: DrivenHub = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.hub = DrivenHub([self.source], self.settings)

    def cohort(self, ticks: int, detail: Detail = Detail.STANDARD) -> Cohort:
        return self.hub.cohort(Subscribe("synthetic", ticks * 1000, detail))

    def tick(self, tick: int, hole: GapReason | None = None) -> Publication:
        (publication,) = self.hub.tick(tick, hole=hole)
        return publication

    def run(self, first: int, last: int) -> list[Publication]:
        return [self.tick(tick) for tick in range(first, last + 1)]


def body(frame: Frame) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(frame.text)
    return parsed


def after(times: int) -> Callable[[], bool]:
    """Say that the time is spent, but for the first calls."""
    calls = itertools.count()
    return lambda: next(calls) >= times


# The cache


def frame(size: int) -> Frame:
    """A frame that counts as so many bytes."""
    made = Frame("x", b"x" * ((size - 512) // 3))
    assert made.size == size
    return made


def test_the_cache_lets_the_oldest_go_first() -> None:
    """The bound is in bytes, and may be met exactly."""
    cache = FrameCache(limit=3 * 542)
    kept = [cache.put(frame(542), "key", at) for at in range(3)]
    assert [cache.get("key", at) for at in range(3)] == kept

    newest = cache.put(frame(545), "key", 3)

    assert [cache.get("key", at) for at in range(4)] == [None, None, kept[2], newest]
    assert cache.size == 542 + 545


def test_a_frame_that_is_larger_than_the_cache_is_not_kept() -> None:
    """But used."""
    cache = FrameCache(limit=1000)
    cache.put(frame(542), 1)
    large = frame(1001)

    assert cache.put(large, 2) is large
    assert (cache.get(1), cache.get(2), cache.size) == (None, None, 0)


@settings(deadline=None)
@given(st.lists(st.integers(1, 40).map(lambda third: 512 + 3 * third), max_size=60))
def test_the_cache_never_exceeds_its_bound(sizes: list[int]) -> None:
    """What is kept is the newest, as much as fits."""
    cache = FrameCache(limit=3000)

    for at, size in enumerate(sizes):
        cache.put(frame(size), at)
        kept = [size for key, size in enumerate(sizes[: at + 1]) if cache.get(key) is not None]
        assert cache.size == sum(kept) <= 3000
        assert kept == sizes[at + 1 - len(kept) : at + 1]


# Messages


def test_a_message_tells_its_place_its_interval_and_its_window() -> None:
    """And the data of that window."""
    at = Desk(SyntheticSource(padding=3))
    publications = at.run(1, 12)

    message = at.cohort(5).frame(publications[9])

    assert body(message) == {
        "type": "synthetic",
        "timestamp": 1_700_000_010_000,
        "cursor": "e:10",
        "host": "here",
        "intervalMs": 5000,
        "windowMs": 5000,
        "data": {"value": 10, "span": 5, "padding": "xxx"},
    }
    assert (message.kind, str(message.cursor)) == ("synthetic", "e:10")


def test_a_message_is_rendered_and_encoded_once() -> None:
    """Whoever takes it; another interval or detail is another message."""
    at = Desk()
    *_, publication = at.run(1, 10)

    frames = {id(at.cohort(5).frame(publication)) for _ in range(1000)}

    assert len(frames) == 1
    assert (at.hub.counters.renders, at.hub.counters.encodes) == (1, 1)
    at.cohort(2).frame(publication)
    at.cohort(5, Detail.SIMPLE).frame(publication)
    assert (at.hub.counters.renders, at.hub.counters.encodes) == (3, 3)


def test_what_was_let_go_is_rendered_again_to_the_same_bytes() -> None:
    """A cohort's message is one text, whenever it is asked for."""
    at = Desk()
    at.hub._cohorts._cache = FrameCache(limit=2000)
    publications = at.run(1, 10)
    cohort = at.cohort(3)
    texts = [cohort.frame(item).text for item in publications]

    assert at.hub._cohorts._cache.size <= 2000
    assert [cohort.frame(item).text for item in publications] == texts
    assert at.hub.counters.renders == 20


def test_a_cohort_is_concerned_by_its_messages_and_by_holes() -> None:
    """Also by those on publications that are not due."""
    at = Desk()
    at.run(1, 4)
    at.tick(7, GapReason.SOURCE)
    at.run(8, 10)
    cohort = at.cohort(5)

    publications = cohort.ring.after(0)

    due = [item.tick for item in publications if cohort.due(item)]
    concerned = [item.tick for item in publications if cohort.concerned(item)]
    assert (due, concerned) == ([1, 7, 10], [1, 7, 10])
    cohort = at.cohort(10)
    assert [item.tick for item in cohort.after(0)] == [1, 7, 10]
    assert [item.tick for item in cohort.after(0) if cohort.due(item)] == [1, 10]
    assert [item.tick for item in cohort.after(5)] == [10]


@pytest.mark.parametrize("reason", [*GapReason][:4])
def test_a_hole_is_a_gap_that_all_cohorts_share(reason: GapReason) -> None:
    """It lies just before the publication that bears it, and nobody can count what is in it."""
    at = Desk()
    at.run(1, 3)
    publication = at.tick(9, reason)

    gap = at.cohort(5).hole(publication)

    assert body(gap) == {
        "type": "gap",
        "timestamp": 1_700_000_009_000,
        "channel": "synthetic",
        "reason": reason,
        "from": "e:3",
        "to": "e:4",
        "missed": None,
    }
    assert gap.cursor is None
    assert at.cohort(60, Detail.SIMPLE).hole(publication) is gap


@pytest.mark.parametrize("spoilt", [ValueError("a bug"), object()], ids=["render", "encode"])
def test_a_source_that_cannot_render_its_sample_gives_a_gap(
    spoilt: object, caplog: pytest.LogCaptureFixture
) -> None:
    """In place of the message, once; the log tells why, and the others are not disturbed."""
    at = Desk(Spoilt(spoilt={3: spoilt}))
    publications = at.run(1, 4)
    cohort = at.cohort(1)

    frames = [cohort.frame(item) for item in publications for _ in range(2)]

    assert [frame.kind for frame in frames[::2]] == ["synthetic", "synthetic", "gap", "synthetic"]
    assert frames[4] is frames[5]
    assert body(frames[4]) == {
        "type": "gap",
        "timestamp": 1_700_000_003_000,
        "channel": "synthetic",
        "reason": "source",
        "from": "e:2",
        "to": "e:3",
        "missed": None,
    }
    assert caplog.messages == ["e:3 cannot be rendered"]


def test_a_message_whose_window_is_no_longer_held_is_a_gap(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It would be told with another window than before."""
    at = Desk(settings=evolve(SETTINGS, history_s=0))
    at.run(1, 126)
    oldest = at.cohort(5).ring.after(0)[0]

    assert body(at.cohort(5).frame(oldest))["reason"] == "source"
    assert caplog.messages == [f"e:{oldest.seq} cannot be rendered"]
    assert at.hub.counters.renders == 0


# The fan-out


@define(eq=False)
class Sink:
    """A connection that takes everything."""

    wire: Wire = Wire.WEBSOCKET
    fd: int = -1
    taken: list[bytes] = field(factory=list)

    def put(self, data: bytes) -> None:
        self.taken.append(data)

    def abort(self) -> None: ...


class Reader:
    """A session, as far as a cohort knows it."""

    def notify(self) -> None: ...

    def lost(self, channel: str, reason: str) -> None: ...

    def part(self) -> None: ...


def fans(cohort: Cohort) -> dict[tuple[Wire, bool], Sink]:
    """Put a sink of each wire and dialect into a cohort."""
    sinks = {
        (Wire.WEBSOCKET, False): Sink(Wire.WEBSOCKET),
        (Wire.WEBSOCKET, True): Sink(Wire.WEBSOCKET),
        (Wire.SSE, False): Sink(Wire.SSE),
    }
    for (_, heritage), sink in sinks.items():
        member = Reader()
        cohort.enter(member)
        cohort.join(member, sink, heritage=heritage)
    return sinks


def test_a_message_is_fanned_out_in_the_form_of_each_wire() -> None:
    """Rendered once; a hole goes before it, in one piece, but not to heritage clients."""
    at = Desk()
    at.run(1, 3)
    cohort = at.cohort(1)
    sinks = fans(cohort)
    base, reading = Reading(8.8, 8800, 8), Reading(9.0, 9000, 9)
    publication = at.hub.log.append(
        "synthetic", "here", 9, reading, base=base, hole=GapReason.SOURCE
    )

    cohort.fan_out(publication, 50.0)

    gap, message = cohort.hole(publication), cohort.frame(publication)
    assert [sink.taken for sink in sinks.values()] == [
        [gap.websocket + message.websocket],
        [message.websocket],
        [gap.chunk + message.chunk],
    ]
    assert cohort.fanned_at == 50.0


def test_a_hole_alone_is_no_sign_of_life_to_a_heritage_client() -> None:
    """So the time at which all were sent something stands."""
    at = Desk()
    at.run(1, 3)
    cohort = at.cohort(60)
    sinks = fans(cohort)
    cohort.fanned_at = 5.0
    publication = at.tick(9, GapReason.SOURCE)

    gap = cohort.hole(publication)
    assert [sink.taken for sink in sinks.values()] == [[gap.websocket], [], [gap.chunk]]
    assert cohort.fanned_at == 5.0


def test_nothing_is_rendered_for_nobody() -> None:
    """Neither where nobody ever was, nor where all have left."""
    at = Desk()
    at.run(1, 3)
    cohort = at.cohort(1)
    member, sink = Reader(), Sink()
    cohort.enter(member)
    cohort.join(member, sink, heritage=False)
    assert (cohort.members, cohort.listeners) == ({member}, set())
    cohort.part(member, sink, heritage=False)
    assert cohort.listeners == {member}

    publication = at.hub.log.append("synthetic", "here", 4, Reading(4.0, 4000, 4))
    cohort.fan_out(publication, 7.0)
    cohort.send([cohort.hole(publication)], 8.0)

    assert (sink.taken, at.hub.counters.renders) == ([], 0)
    assert cohort.fanned_at == float("-inf")


def test_a_cohort_forgets_who_leaves() -> None:
    """Whatever it was in."""
    at = Desk()
    at.run(1, 3)
    cohort = at.cohort(1)
    member, sink = Reader(), Sink()
    cohort.enter(member)
    cohort.waiting.add(member)
    cohort.join(member, sink, heritage=True)

    cohort.part(member, sink, heritage=True)
    cohort.leave(member)

    assert (cohort.members, cohort.listeners, cohort.waiting) == (set(), set(), set())
    assert not any(cohort.fans.values())


# What was missed


def test_missed_messages_are_counted_as_long_as_all_of_them_are_held() -> None:
    """Those above a place, and those between two."""
    at = forgetful()
    cohort = at.cohort(5)

    missed = {seq: cohort.missed(seq) for seq in (0, 65, 66, 69, 70, 124, 125, 126)}

    # 70, 75 and so on until 125 are due.
    assert missed == {0: None, 65: None, 66: 12, 69: 12, 70: 11, 124: 1, 125: 0, 126: 0}
    assert {seq: cohort.missed(66, seq) for seq in (66, 70, 71, 125, 126)} == {
        66: 0,
        70: 0,
        71: 1,
        125: 11,
        126: 12,
    }
    assert cohort.missed(65, 100) is None


def test_a_message_is_alone_where_nothing_else_is_to_be_said() -> None:
    """Nothing, more than one, a hole, a gap in its place, or a place no longer held: not so."""
    at = Desk(Spoilt(spoilt={4: ValueError("a bug")}))
    cohort, slow = at.cohort(1), at.cohort(2)
    alone = []
    for tick, hole in ((1, None), (2, None), (3, GapReason.SUSPEND), (4, None), (5, None)):
        publication = at.tick(tick, hole=hole)
        seq = publication.seq
        alone.append([cohort.sole(seq - 1) is cohort.frame(publication), slow.sole(seq - 1)])
        assert cohort.sole(seq) is None

    assert [whether for whether, _ in alone] == [True, True, False, False, True]
    assert [frame is not None for _, frame in alone] == [True, True, False, False, False]
    assert cohort.sole(0) is None
    assert forgetful().cohort(60).sole(65) is None


def test_what_can_still_be_sent_has_its_window() -> None:
    """Nothing above the place was let go, nor the beginning of its oldest message's window."""
    at = forgetful()

    holds = {ticks: [at.cohort(ticks).holds(seq) for seq in range(64, 128)] for ticks in (1, 5)}

    # At 1 tick, 67 has lost the 66 that it began with; at 5 ticks, 70 has lost 65.
    assert holds[1] == [False] * 3 + [True] * 61
    assert holds[5] == [False] * 6 + [True] * 58


def forgetful() -> Desk:
    """A desk with the publications 67 to 126, at the ticks of their numbers; 66 are gone."""
    at = Desk(settings=evolve(SETTINGS, history_s=0))
    at.run(1, 126)
    ring = at.cohort(5).ring
    assert [item.tick for item in ring.after(0)] == [*range(67, 127)]
    assert ring.dropped == 66
    return at


# The past


@settings(deadline=None)
@given(
    ticks=st.lists(st.integers(1, 200), min_size=1, max_size=90, unique=True).map(sorted),
    interval=st.integers(1, 12),
    count=st.integers(0, 30),
)
def test_the_past_is_so_many_messages_with_the_holes_between_them(
    ticks: list[int], interval: int, count: int
) -> None:
    """It begins with a message, and ends before the place; a hole is wherever a tick is missing."""
    at = Desk()
    publications = [
        at.tick(tick, GapReason.SOURCE if before and tick > before + 1 else None)
        for before, tick in itertools.pairwise([0, *ticks])
    ]
    cohort = at.cohort(interval)

    past = cohort.past(count, publications[-1])

    due = [item for item in publications[:-1] if cohort.due(item)]
    wanted = due[max(0, len(due) - count) :] if count else []
    assert [item for item in past if cohort.due(item)] == wanted
    if wanted:
        between = publications[publications.index(wanted[0]) : -1]
        assert past == [item for item in between if cohort.concerned(item)]
    else:
        assert past == []


def test_the_past_ends_where_windows_are_no_longer_held() -> None:
    """An item whose window is not wholly held is not offered."""
    at = forgetful()
    newest = at.cohort(1).ring.newest
    assert newest is not None

    pasts = {ticks: at.cohort(ticks).past(360, newest) for ticks in (1, 7, 60)}

    assert {ticks: [item.tick for item in past] for ticks, past in pasts.items()} == {
        1: [*range(68, 126)],
        7: [*range(77, 126, 7)],
        60: [],
    }


def test_what_is_at_hand_is_not_rendered_ahead() -> None:
    """Nor what is no message of the cohort."""
    at = Desk()
    publications = at.run(1, 20)
    cohort = at.cohort(5)
    cohort.frame(publications[9])

    # 1, 5, 15 and 20 are missing, and there is time for so many.
    assert cohort.warm(publications, after(4))

    assert at.hub.counters.renders == 5
    assert cohort.warm(publications, after(0))


def test_rendering_ahead_stops_when_the_time_is_spent() -> None:
    """And goes on from there the next time."""
    at = Desk()
    publications = at.run(1, 9)
    cohort = at.cohort(1)

    outcomes, renders = [], []
    for _ in range(4):
        outcomes.append(cohort.warm(publications, after(3)))
        renders.append(at.hub.counters.renders)

    assert outcomes == [False, False, True, True]
    assert renders == [3, 6, 9, 9]


def test_a_history_is_made_once_for_all_who_ask_for_it() -> None:
    """Of the very texts that were sent live."""
    at = Desk()
    publications = at.run(1, 31)
    cohort = at.cohort(5)
    live = [cohort.frame(item).text for item in publications if cohort.due(item)]
    renders = at.hub.counters.renders

    history = cohort.history(3, publications[-1])

    assert cohort.history(3, publications[-1]) is history
    assert cohort.history(2, publications[-1]) is not history
    assert cohort.history(3, publications[-2]) is not history
    assert at.hub.counters.renders == renders
    assert history.text == (
        b'{"type":"history","timestamp":1700000031000,"channel":"synthetic","items":['
        + b",".join(live[-3:])
        + b"]}"
    )
    assert history.cursor is None


def test_a_history_tells_the_holes_that_its_reader_passes() -> None:
    """Not the one before its first item, but the one before the snapshot."""
    at = Desk()
    at.run(1, 4)
    at.tick(6, GapReason.SOURCE)
    at.run(7, 10)
    at.tick(12, GapReason.SUSPEND)
    snapshot = at.tick(14, GapReason.OVERLOAD)
    cohort = at.cohort(2)

    told = {
        count: [
            item.get("cursor", item.get("reason"))
            for item in body(cohort.history(count, snapshot))["items"]
        ]
        for count in (0, 1, 3, 9)
    }

    assert told == {
        0: [],
        1: ["e:10", "overload"],
        3: ["e:7", "e:9", "suspend", "e:10", "overload"],
        9: ["e:1", "e:2", "e:4", "source", "e:5", "e:7", "e:9", "suspend", "e:10", "overload"],
    }


def test_a_history_tells_of_a_hole_before_a_publication_that_is_no_message() -> None:
    """It lies between two messages all the same."""
    at = Desk()
    at.run(1, 4)
    at.tick(6, GapReason.SOURCE)
    at.run(7, 8)
    snapshot = at.tick(9)

    items = body(at.cohort(4).history(9, snapshot))["items"]

    assert [(item["type"], item.get("cursor")) for item in items] == [
        ("synthetic", "e:1"),
        ("synthetic", "e:4"),
        ("gap", None),
        ("synthetic", "e:7"),
    ]
    assert (items[2]["from"], items[2]["to"]) == ("e:4", "e:5")


def test_a_synthetic_message_is_what_its_source_made_of_the_window() -> None:
    """The source sees only whole windows."""
    assert SyntheticSource().render(Window((3, 5, 9), 2.0), Detail.SIMPLE) == Numbers(9, 6, "")
