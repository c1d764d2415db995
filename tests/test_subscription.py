"""One channel of one client: every verdict on a cursor, and what a free wire is given."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from attrs import define, evolve, field
from hypothesis import given
from hypothesis import strategies as st

from app.core.broadcaster import HubSettings
from app.core.cache import FrameCache
from app.core.subscription import RESUME_BYTES, RESUME_MESSAGES, Sequenced, Subscription
from schema.cursor import UNREADABLE, Cursor
from schema.fields import GapReason, ResumeReason
from schema.frame import Frame
from schema.messages import Resume, Subscribe
from tests.serving import DrivenHub
from tests.synthetic import SyntheticSource

SETTINGS = HubSettings(host="here", version="0", epoch="e")
NOW = 1_800_000_000_000


@define(eq=False)
class Desk:
    """A hub whose log the test writes."""

    source: SyntheticSource = field(factory=lambda: SyntheticSource("alpha"))
    settings: HubSettings = SETTINGS
    hub: DrivenHub = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.hub = DrivenHub([self.source, SyntheticSource("beta")], self.settings)

    def run(self, first: int, last: int) -> None:
        for tick in range(first, last + 1):
            self.hub.tick(tick, "alpha")

    def subscription(
        self, since: int | Cursor | None = None, *, ticks: int = 1, history: int = 0
    ) -> Subscription:
        cursor = Cursor("e", since) if isinstance(since, int) else since
        wanted = Subscribe("alpha", ticks * 1000, since=cursor, history=history)
        return Subscription(wanted, self.hub.cohort(wanted))

    def resumed(self, since: int, *, ticks: int = 1) -> Subscription:
        """A subscription that has been live since a place."""
        subscription = self.subscription(since, ticks=ticks)
        verdict = subscription.judge(self.hub.log, never)
        assert verdict is not None
        assert verdict.recovered
        subscription.recovering = False
        return subscription

    def cursor(self, seq: int) -> Cursor:
        return self.hub.log.cursor(seq)


def never() -> bool:
    return False


def after(times: int) -> Callable[[], bool]:
    """Say that the time is spent, but for the first calls."""
    calls = itertools.count()
    return lambda: next(calls) >= times


def forgetful() -> Desk:
    """A desk with the publications 67 to 126, at the ticks of their numbers; 66 are gone."""
    at = Desk(settings=evolve(SETTINGS, history_s=0))
    at.run(1, 126)
    return at


def bodies(frames: Iterable[Frame]) -> list[dict[str, Any]]:
    return [json.loads(frame.text) for frame in frames]


def seqs(messages: Iterable[Sequenced]) -> list[tuple[int, str]]:
    """Tell the places of messages, and what they are."""
    return [(message.seq, message.frame.kind) for message in messages]


# The verdicts


def verdict(recovered: ResumeReason | str, missed: int | None = None) -> Resume:
    reason = ResumeReason(recovered)
    return Resume(recovered=reason is ResumeReason.OK, reason=reason, missed=missed)


@pytest.mark.parametrize(
    ("since", "ticks", "expected"),
    [
        (None, 1, verdict("first")),
        (20, 1, verdict("ok", 0)),
        (19, 1, verdict("ok", 1)),
        (17, 5, verdict("ok", 1)),
        (20, 5, verdict("ok", 0)),
        (0, 1, verdict("ok", 20)),
        (0, 5, verdict("ok", 5)),
        (21, 1, verdict("unknown")),
        (Cursor("other", 5), 1, verdict("epoch_changed")),
        (Cursor("other", 21), 1, verdict("epoch_changed")),
        (UNREADABLE, 1, verdict("unknown")),
    ],
    ids=str,
)
def test_each_cursor_has_its_verdict(
    since: int | Cursor | None, ticks: int, expected: Resume
) -> None:
    """Row by row, as the protocol has them, in a log of 20 ticks."""
    at = Desk()
    at.run(1, 20)
    subscription = at.subscription(since, ticks=ticks)

    assert subscription.judge(at.hub.log, never) == expected

    assert subscription.recovering is expected.recovered
    assert subscription.opening is not expected.recovered


@pytest.mark.parametrize(
    ("since", "ticks", "expected"),
    [
        (65, 1, verdict("too_old")),
        (66, 1, verdict("too_old", 60)),
        (67, 1, verdict("ok", 59)),
        (69, 5, verdict("too_old", 12)),
        (70, 5, verdict("ok", 11)),
        (126, 60, verdict("ok", 0)),
    ],
    ids=str,
)
def test_a_cursor_is_too_old_when_not_all_it_missed_can_be_told(
    since: int, ticks: int, expected: Resume
) -> None:
    """Because it was let go, or the beginning of its window was; in a log that begins at 67."""
    at = forgetful()

    assert at.subscription(since, ticks=ticks).judge(at.hub.log, never) == expected


@pytest.mark.parametrize("ticks", [1, 2])
def test_at_most_360_messages_are_resumed(ticks: int) -> None:
    """The due ones count, not the publications."""
    at = Desk()
    at.run(1, ticks * (RESUME_MESSAGES + 1))

    held = at.subscription(2 * ticks - 1, ticks=ticks).judge(at.hub.log, never)
    more = at.subscription(ticks - 1, ticks=ticks).judge(at.hub.log, never)

    assert held == verdict("ok", 360)
    assert more == verdict("too_old", 361)


@pytest.mark.parametrize(("more", "reason"), [(0, "ok"), (1, "too_old")])
def test_at_most_a_mebibyte_is_resumed(more: int, reason: str) -> None:
    """To the byte, of the texts of the due messages."""
    at = Desk()
    at.run(1, 4)
    texts = [at.subscription().cohort.frame(item).text for item in cohort_items(at)]
    at.hub._cohorts._cache = FrameCache()
    at.hub._cohorts._cohorts.clear()
    first, second = (len(text) for text in texts[2:])
    at.source.padding = (RESUME_BYTES - first - second) // 2
    spare = RESUME_BYTES - first - second - 2 * at.source.padding
    cohort = at.subscription().cohort
    cohort.frame(cohort_items(at)[2])
    at.source.padding += spare + more

    subscription = at.subscription(2)

    assert subscription.judge(at.hub.log, never) == verdict(reason, 2)
    assert sum(len(cohort.frame(item).text) for item in cohort_items(at)[2:]) == RESUME_BYTES + more


def cohort_items(at: Desk) -> list[Any]:
    return at.hub.log.ring("alpha", "here").after(0)


def test_what_is_too_much_for_a_resume_is_not_rendered_to_the_end() -> None:
    """A cursor that missed hundreds of large messages costs no more than a mebibyte of them."""
    at = Desk(SyntheticSource("alpha", padding=100_000))
    at.run(1, 300)

    assert at.subscription(0).judge(at.hub.log, never) == verdict("too_old", 300)

    assert at.hub.counters.renders == 11


# In slices


def slices(ask: Callable[[], object]) -> int:
    """Count how often one has to ask for an answer, when each slice renders three messages."""
    return next(count for count in range(1, 500) if ask())


@pytest.mark.parametrize("limit", [FrameCache()._limit, 5000], ids=["all kept", "few kept"])
def test_missed_messages_are_rendered_in_slices(limit: int) -> None:
    """Each once, however little can be kept: else it would never end."""
    at = Desk()
    at.hub._cohorts._cache = FrameCache(limit)
    at.run(1, 40)
    subscription = at.subscription(10)

    count = slices(lambda: subscription.judge(at.hub.log, after(3)))

    assert count == 10
    assert at.hub.counters.renders == 30
    assert subscription.recovering


@pytest.mark.parametrize("limit", [FrameCache()._limit, 5000], ids=["all kept", "few kept"])
def test_an_opening_is_rendered_in_slices(limit: int) -> None:
    """History and snapshot, each message once, also while the snapshot moves on."""
    at = Desk()
    at.hub._cohorts._cache = FrameCache(limit)
    at.run(1, 40)
    subscription = at.subscription(history=20)
    subscription.judge(at.hub.log, never)
    ticks = itertools.count(41)

    def ask() -> bool:
        snapshot = subscription.snapshot
        assert snapshot is not None
        warm = subscription.warm(snapshot, after(3))
        at.hub.tick(next(ticks), "alpha")
        return warm

    # 21 for the first snapshot, and one for each tick that came meanwhile.
    assert slices(ask) == 10
    assert at.hub.counters.renders == 30


def test_the_time_that_a_resume_took_does_not_count_for_the_opening() -> None:
    """What was rendered for a resume that failed may have been let go."""
    at = Desk(SyntheticSource("alpha", padding=300_000))
    at.run(1, 10)
    subscription = at.subscription(0, history=10)
    assert subscription.judge(at.hub.log, never) == verdict("too_old", 10)
    at.hub._cohorts._cache._frames.clear()
    snapshot = subscription.snapshot
    assert snapshot is not None

    assert not subscription.warm(snapshot, after(3))
    assert not subscription.warm(snapshot, after(6))
    assert subscription.warm(snapshot, after(1))


# Gaps of cursors that were not resumed


@pytest.mark.parametrize(
    ("since", "reason", "from_", "missed"),
    [
        (50, "too_old", "e:50", None),
        (66, "too_old", "e:66", 59),
        (Cursor("other", 50), "epoch_changed", "other:50", None),
        (500, "unknown", None, None),
        (UNREADABLE, "unknown", None, None),
    ],
    ids=str,
)
def test_a_cursor_that_is_not_resumed_is_owed_a_gap(
    since: int | Cursor, reason: str, from_: str | None, missed: int | None
) -> None:
    """Once, up to the place where it goes on."""
    at = forgetful()
    subscription = at.subscription(since)
    subscription.judge(at.hub.log, never)

    (gap,) = bodies(subscription.lost(at.cursor(126), NOW))

    assert gap == {
        "type": "gap",
        "timestamp": NOW,
        "channel": "alpha",
        "reason": reason,
        "from": from_,
        "to": "e:126",
        "missed": missed,
    }
    assert subscription.lost(at.cursor(126), NOW) == []
    assert subscription.opening


@pytest.mark.parametrize("since", [None, 120])
def test_nothing_is_owed_to_who_missed_nothing(since: int | None) -> None:
    """Neither to who comes for the first time, nor to who is resumed."""
    at = forgetful()
    subscription = at.subscription(since)
    subscription.judge(at.hub.log, never)

    assert subscription.lost(at.cursor(126), NOW) == []


# The opening


def test_an_opening_is_the_history_and_the_newest() -> None:
    """The snapshot has its own cursor, on the grid or off it, and live goes on behind it."""
    at = Desk()
    at.run(1, 12)
    at.hub.tick(12, "beta")
    subscription = at.subscription(ticks=5, history=2)
    subscription.judge(at.hub.log, never)
    snapshot = subscription.snapshot
    assert snapshot is not None
    assert subscription.behind() == 0

    histories, first = subscription.open(at.hub.log, snapshot)

    (history,) = bodies(histories)
    assert [item["cursor"] for item in history["items"]] == ["e:5", "e:10"]
    assert seqs([first]) == [(12, "alpha")]
    assert (subscription.opening, subscription.position) == (False, 13)
    at.run(13, 15)
    assert subscription.behind() == 1
    assert seqs(subscription.catch_up(at.hub.log, all_of_it=True)[1]) == [(16, "alpha")]


def test_who_asks_for_no_history_gets_none() -> None:
    """Not an empty one either."""
    at = Desk()
    at.run(1, 3)
    subscription = at.subscription()
    subscription.judge(at.hub.log, never)
    assert subscription.snapshot is not None

    assert subscription.open(at.hub.log, subscription.snapshot)[0] == []


def test_a_source_that_sleeps_has_no_snapshot() -> None:
    """What it published last may be of yesterday; nor has one that never published."""
    at = Desk()
    subscription = at.subscription()
    snapshots = [subscription.snapshot]
    at.run(1, 3)
    snapshots.append(subscription.snapshot)
    subscription.cohort.ring.asleep = True
    snapshots.append(subscription.snapshot)
    at.run(4, 4)
    snapshots.append(subscription.snapshot)

    assert [item and item.seq for item in snapshots] == [None, 3, None, 4]


# Live


def test_a_resumed_reader_gets_exactly_what_it_missed() -> None:
    """However much it is, with the holes that it passes, and is not counted as behind."""
    at = Desk()
    at.run(1, 50)
    at.hub.tick(55, "alpha", hole=GapReason.SOURCE)
    at.run(56, 70)
    subscription = at.subscription(5)
    subscription.judge(at.hub.log, never)
    assert subscription.behind() == 0

    gaps, messages = subscription.catch_up(at.hub.log, all_of_it=False)

    assert gaps == []
    assert seqs(messages) == [
        *((seq, "alpha") for seq in range(6, 51)),
        (51, "gap"),
        *((seq, "alpha") for seq in range(51, 67)),
    ]
    assert (subscription.recovering, subscription.position) == (False, 66)
    assert subscription.catch_up(at.hub.log, all_of_it=True) == ([], [])


def test_a_reader_gets_all_that_is_due_one_by_one() -> None:
    """Only what is due for it, and what another channel published moves it on."""
    at = Desk()
    at.run(1, 10)
    subscription = at.resumed(10, ticks=2)
    at.run(11, 17)
    at.hub.tick(17, "beta")
    assert subscription.behind() == 3

    gaps, messages = subscription.catch_up(at.hub.log, all_of_it=True)

    assert gaps == []
    assert seqs(messages) == [(12, "alpha"), (14, "alpha"), (16, "alpha")]
    assert (subscription.position, subscription.behind()) == (18, 0)


def test_a_reader_that_is_too_far_behind_gets_a_gap_and_the_newest() -> None:
    """The gap tells from where to where, and how many are in it."""
    at = Desk()
    at.run(1, 10)
    subscription = at.resumed(10, ticks=2)
    at.run(11, 21)

    gaps, messages = subscription.catch_up(at.hub.log, all_of_it=False)

    assert bodies(gaps) == [
        {
            "type": "gap",
            "timestamp": 1_700_000_020_000,
            "channel": "alpha",
            "reason": "slow",
            "from": "e:10",
            "to": "e:20",
            "missed": 4,
        }
    ]
    assert seqs(messages) == [(20, "alpha")]
    assert subscription.position == 21


def test_a_channel_that_has_one_message_waiting_needs_no_gap() -> None:
    """Even if the others of the connection are too far behind."""
    at = Desk()
    at.run(1, 10)
    subscription = at.resumed(10, ticks=5)
    at.run(11, 15)

    gaps, messages = subscription.catch_up(at.hub.log, all_of_it=False)

    assert (gaps, seqs(messages)) == ([], [(15, "alpha")])


def test_a_hole_behind_the_newest_message_is_passed_all_the_same() -> None:
    """The gap of a slow reader does not reach so far; holes within it do not count again."""
    at = Desk()
    at.run(1, 10)
    subscription = at.resumed(10, ticks=5)
    at.hub.tick(13, "alpha", hole=GapReason.OVERLOAD)
    at.run(14, 19)
    at.hub.tick(20, "alpha", hole=GapReason.SUSPEND)
    at.hub.tick(22, "alpha", hole=GapReason.SOURCE)

    gaps, messages = subscription.catch_up(at.hub.log, all_of_it=False)

    assert [(gap["from"], gap["to"]) for gap in bodies(gaps)] == [("e:10", "e:18")]
    assert seqs(messages) == [(18, "gap"), (18, "alpha"), (19, "gap")]
    assert [gap["reason"] for gap in bodies(m.frame for m in messages) if "reason" in gap] == [
        "suspend",
        "source",
    ]


@pytest.mark.parametrize("recovering", [False, True])
def test_what_was_let_go_meanwhile_lies_in_a_gap(*, recovering: bool) -> None:
    """Also if it was there when the cursor was judged; how many it were is not known."""
    at = Desk(settings=evolve(SETTINGS, history_s=0))
    at.run(1, 100)
    subscription = at.resumed(90)
    subscription.recovering = recovering
    at.run(101, 252)

    gaps, messages = subscription.catch_up(at.hub.log, all_of_it=True)

    (gap,) = bodies(gaps)
    assert (gap["reason"], gap["from"], gap["to"], gap["missed"]) == ("slow", "e:90", "e:252", None)
    assert seqs(messages) == [(252, "alpha")]


@given(
    steps=st.lists(
        st.tuples(st.integers(0, 3), st.booleans(), st.booleans()), min_size=1, max_size=40
    ),
    start=st.integers(0, 10),
    ticks=st.integers(1, 7),
    reads=st.lists(st.tuples(st.integers(1, 12), st.booleans()), max_size=12),
)
def test_every_message_and_hole_is_delivered_once_or_lies_in_a_gap(
    steps: list[tuple[int, bool, bool]],
    start: int,
    ticks: int,
    reads: list[tuple[int, bool]],
) -> None:
    """Whenever the wire is free, and whether it may have all of it or not."""
    at = Desk()
    at.run(0, start)
    subscription = at.resumed(at.hub.log.head, ticks=ticks)
    begin, tick = at.hub.log.head, start
    told: list[tuple[int, str]] = []
    declared: list[range] = []
    pauses = itertools.cycle([*reads, (1, True)])
    wait, all_of_it = next(pauses)
    for skipped, hole, other in [*steps, (0, False, True)]:
        tick += 1 + skipped
        at.hub.tick(tick, "alpha", hole=GapReason.SOURCE if hole or skipped else None)
        if other:
            at.hub.tick(tick, "beta")
        wait -= 1
        if wait <= 0:
            gaps, messages = subscription.catch_up(at.hub.log, all_of_it=all_of_it)
            declared += [
                range(int(gap["from"][2:]) + 1, int(gap["to"][2:])) for gap in bodies(gaps)
            ]
            told += seqs(messages)
            wait, all_of_it = next(pauses)
    gaps, messages = subscription.catch_up(at.hub.log, all_of_it=True)
    assert not gaps
    told += seqs(messages)

    assert told == sorted(set(told), key=lambda item: (item[0], item[1] != "gap"))
    excused = set(itertools.chain(*declared))
    for item in subscription.cohort.ring.after(begin):
        kinds = [kind for seq, kind in told if seq == item.seq]
        expected = ["gap"] * (item.hole is not None) + ["alpha"] * subscription.cohort.due(item)
        assert kinds == ([] if item.seq in excused else expected)
