"""The Python client's logic that needs no server: addresses, cursors, clocks, events."""

from __future__ import annotations

import asyncio
import math
from itertools import pairwise
from typing import cast

import pytest
from attrs import define, evolve, field
from hypothesis import given
from hypothesis import strategies as st

from app.client.address import Address
from app.client.cursors import NOWHERE, Cursors, beyond
from app.client.feed import Feed
from app.client.longpoll import LongPollWire
from app.client.messages import ChannelMessage, Received, receive, receive_item
from app.client.patience import CEILING_S, FLOOR_S, Backoff, Liveness, Path, Trials, boottime
from app.client.race import Race
from app.client.sse import Event, EventReader
from app.client.want import Want
from app.client.wire import End, Host, Wire
from schema.codec import ServerMessage
from schema.cursor import Cursor
from schema.errors import ErrorCode, InvalidMessage
from schema.fields import Detail, GapReason
from schema.frame import Frame
from schema.messages import Connected, Error, Gap, Heartbeat, History

CHANNELS = ("alpha", "beta", "gamma")
cursors = st.builds(Cursor, st.sampled_from(["a", "b"]), st.integers(0, 9))


# Addresses


@pytest.mark.parametrize(
    ("text", "base"),
    [
        ("http://127.0.0.1:8321", "http://127.0.0.1:8321/"),
        ("https://metrics.example/pulse", "https://metrics.example/pulse/"),
        ("wss://metrics.example/pulse/", "https://metrics.example/pulse/"),
        ("ws://[::1]:80", "http://[::1]:80/"),
        ("vm:9000", "http://vm:9000/"),
        ("vm", "http://vm:8321/"),
        ("vm/pulse", "http://vm:8321/pulse/"),
        ("[::1]", "http://[::1]:8321/"),
    ],
)
def test_an_address_may_be_written_in_many_ways(text: str, base: str) -> None:
    """Without a scheme it is http, and the port is Pulsewire's own."""
    address = Address.parse(text)
    assert address.base == base
    assert address.websocket == f"{base.replace('http', 'ws', 1)}api/ws"
    assert address.secure is base.startswith("https")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("ftp://vm", "must begin with one of http, https, ws, wss"),
        ("", "is no address such as http://127.0.0.1:8321"),
        ("http://", "is no address"),
        ("vm:high", "is no address"),
        ("vm:0", "is no address"),
        ("vm:65536", "is no address"),
        ("http://vm/?interval=1", "without a query or a fragment"),
        ("http://vm/#a", "without a query or a fragment"),
    ],
)
def test_what_is_no_address_is_told(text: str, told: str) -> None:
    """With what was wrong."""
    with pytest.raises(ValueError, match=told):
        Address.parse(text)


# Cursors


@given(had=cursors | st.none(), cursor=cursors)
def test_a_message_is_new_if_it_lies_beyond(had: Cursor | None, cursor: Cursor) -> None:
    """In another epoch everything does; what has come once is new no more."""
    reached = Cursors()
    if had is not None:
        assert reached.advance("alpha", had)
    is_new = had is None or cursor.epoch != had.epoch or cursor.seq > had.seq
    assert beyond(cursor, had) is is_new
    assert reached.advance("alpha", cursor) is is_new
    assert reached.get("alpha") == (cursor if is_new else had)
    assert not reached.advance("alpha", cursor) or not is_new


@given(steps=st.lists(cursors, max_size=9), to=cursors)
def test_a_gap_leads_up_to_the_message_that_follows_it(steps: list[Cursor], to: Cursor) -> None:
    """Which is new after it, if the gap was."""
    reached = Cursors()
    for cursor in steps:
        reached.advance("alpha", cursor)
    assert reached.skip("alpha", to) is reached.advance("alpha", to)


@given(all_of_them=st.dictionaries(st.sampled_from(CHANNELS), cursors))
def test_the_lowest_cursor_is_that_from_which_nothing_lacks(all_of_them: dict[str, Cursor]) -> None:
    """Of two epochs neither will do."""
    reached = Cursors()
    for channel, cursor in all_of_them.items():
        reached.advance(channel, cursor)
    lowest = reached.lowest(CHANNELS)
    if len({cursor.epoch for cursor in all_of_them.values()}) > 1:
        assert lowest == NOWHERE
    elif lowest is None:
        assert not all_of_them
    else:
        assert lowest.seq == min(cursor.seq for cursor in all_of_them.values())
    for channel in CHANNELS:
        reached.forget(channel)
    assert reached.lowest(CHANNELS) is None


def test_a_heartbeat_advances_what_is_of_its_epoch() -> None:
    """And says nothing to a channel that has no message yet."""
    reached = Cursors()
    reached.advance("alpha", Cursor("a", 1))
    reached.advance("beta", Cursor("b", 1))
    reached.reach(Cursor("a", 5))
    reached.reach(None)
    assert reached.snapshot() == {"alpha": Cursor("a", 5), "beta": Cursor("b", 1)}


# Clocks


@given(chances=st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_pauses_grow_up_to_half_a_minute(chances: list[float]) -> None:
    """Each within its bounds, wherever chance puts it."""
    backoff = Backoff()
    for tries, chance in enumerate(chances):
        backoff.wait(100.0, chance)
        assert backoff.at is not None
        assert FLOOR_S <= backoff.at - 100 <= min(CEILING_S, 2 * FLOOR_S * 2**tries)


def test_health_lets_pauses_begin_anew() -> None:
    """And the server's word goes before."""
    backoff = Backoff(tries=9)
    backoff.up(0)
    assert not backoff.down(29)
    backoff.up(30)
    assert backoff.down(60)
    assert not backoff.down(99)
    assert backoff.tries == 0
    backoff.wait(7, 0.5, after=3)
    assert (backoff.at, backoff.tries) == (10, 0)


def test_trials_become_rare() -> None:
    """Up to ten minutes; each is due once."""
    trials = Trials()
    assert not trials.due(1e9)
    for _ in range(9):
        trials.slow()
    trials.schedule(0)
    assert not trials.due(599)
    assert trials.due(600)
    assert not trials.due(601)


def test_silence_is_measured_and_its_longest_kept() -> None:
    """Time in which nobody listened does not count."""
    now = 0.0
    liveness = Liveness(lambda: now, limit=10)
    now = 4.0
    liveness.heard()
    now = 13.0
    assert (liveness.quiet, liveness.longest, liveness.dead) == (9, 4, False)
    liveness.excuse()
    now = 23.0
    assert (liveness.quiet, liveness.longest, liveness.dead) == (10, 4, True)


def test_a_way_is_learnt_from_what_it_cuts() -> None:
    """Not from what broke soon, nor from a silence that it bore before."""
    path = Path()
    path.learn(1.9, 0)
    path.learn(9, 9)
    assert path.quiet == math.inf
    path.learn(10, 9)
    assert path.quiet == 6
    path.learn(60, 9)
    assert path.quiet == 6


def test_the_clock_goes_on() -> None:
    """It is the machine's."""
    assert boottime() <= boottime()


# Events


STREAM = (
    b'retry: 4623\r\n: a comment\nevent: connected\ndata: {"a":"\xe2\x80\xa8"}\n\n'
    b"id: x:1\ndata:1\ndata: 2\n\nretry: soon\n\ndata\n\ndata: unfinished\n"
)
EVENTS = [Event(retry=4623), Event(data='{"a":"\u2028"}'), Event(data="1\n2"), Event(data="")]


@given(cuts=st.lists(st.integers(0, len(STREAM)), max_size=9).map(sorted))
def test_a_stream_may_be_cut_into_any_pieces(cuts: list[int]) -> None:
    """Its lines end with line feeds, and with nothing else that a text may hold."""
    reader = EventReader()
    edges = [0, *cuts, len(STREAM)]
    assert [e for a, b in pairwise(edges) for e in reader.feed(STREAM[a:b])] == EVENTS


def test_what_the_server_sends_is_read_as_it_was_written() -> None:
    """Of its own frames."""
    frame = Frame.of(Heartbeat(1, None), retry=7)
    events = [Event(retry=7), Event(data=frame.string)]
    assert list(EventReader().feed(frame.event)) == events


# Messages


def test_what_has_no_class_is_read_if_it_is_a_channel_of_ours() -> None:
    """And passed over else."""
    text = (
        '{"type":"alpha","timestamp":1,"cursor":"a:1","host":"vm","intervalMs":1000,'
        '"windowMs":1000,"data":[1]}'
    )
    received = receive(text, {"alpha"})
    assert received is not None
    assert received.message == ChannelMessage(
        timestamp=1,
        cursor=Cursor("a", 1),
        host="vm",
        interval_ms=1000,
        window_ms=1000,
        data=[1],
        channel="alpha",
    )
    assert receive_item(received.body, {"alpha"}) == received
    assert receive(text, ()) is None
    assert receive('{"type":7}', ()) is None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "message is not JSON"),
        ("7", "message must be a JSON object"),
        ('{"type":"heartbeat","timestamp":1}', "cursor: is required"),
        ('{"type":"alpha","timestamp":1,"cursor":"here"}', "cursor: must be a cursor"),
    ],
)
def test_what_is_no_message_is_told(text: str, told: str) -> None:
    """By its key."""
    with pytest.raises(InvalidMessage, match=told):
        receive(text, {"alpha"})


def test_less_is_wanted_where_there_is_less() -> None:
    """Once."""
    want = Want(1000, "full", 5, otherwise="standard")
    assert want.lesser() == Want(1000, Detail.STANDARD, 5)
    assert want.lesser().lesser() == want.lesser()


# The feed


def feed(**wants: Want) -> Feed:
    return Feed(wants, lambda: 0.0, lambda _state: None)


def tell(to: Feed, message: ServerMessage, *, trusted: bool = True) -> int:
    """Let a message come, and tell how many the reader has then."""
    to.message(Received.of(message), trusted=trusted)
    return len(to.inbox._waiting)


def test_the_reader_gets_what_is_wanted_and_new() -> None:
    """A gap once; a history where it was asked for; nothing of a channel that was given back."""
    one = feed(alpha=Want(), beta=Want(history=1))
    gap = Gap(1, "alpha", GapReason.SLOW, None, Cursor("a", 7), None)
    assert tell(one, gap, trusted=False) == 0
    assert tell(one, gap) == 1
    assert tell(one, History(1, "alpha", [])) == 1
    assert tell(one, History(1, "beta", [])) == 2
    assert tell(one, History(1, "gamma", [])) == 2
    one.cursors.advance("alpha", Cursor("a", 7))
    assert tell(one, gap) == 2
    one.covered(["alpha", "gamma"], Cursor("a", 9), trusted=True)
    one.covered(["alpha"], Cursor("a", 10), trusted=False)
    assert one.cursors.snapshot() == {"alpha": Cursor("a", 9)}


def test_another_server_may_have_what_this_one_had_not() -> None:
    """After a restart, what was refused is asked for again."""
    one = feed(alpha=Want(), beta=Want())
    server = Connected(1, "c", "a", 1, "pulsewire.v1", "1", 1, [])
    error = Error(1, ErrorCode.UNKNOWN_CHANNEL, "no", "beta")
    tell(one, server)
    assert one.refused(End("no", final=True, said=error))
    tell(one, server)
    assert set(one.wanted()) == {"alpha"}
    tell(one, evolve(server, epoch="b"))
    assert set(one.wanted()) == {"alpha", "beta"}


# The race


@define(eq=False)
class Course:
    """Where a race is run in a test."""

    launched: list[str] = field(factory=list)
    works: asyncio.Future[bool] = field(factory=lambda: asyncio.get_running_loop().create_future())
    ends: list[End] = field(factory=list)

    def clock(self) -> float:
        return 0.0

    def launch(self, name: str) -> Wire:
        self.launched.append(name)
        wire = LongPollWire(cast("Host", self))
        wire.started_at = 0.0
        return wire

    def deserted(self) -> bool:
        return True

    async def reachable(self) -> bool:
        return await self.works

    def lost(self, end: End, *, barred: bool) -> None:
        assert not barred
        self.ends.append(end)


async def test_a_race_that_is_over_goes_no_further() -> None:
    """Though it was just finding out whether the server is there."""
    course = Course()
    race = Race(["sse", "longpoll"], None, course)
    race.start()
    assert race._newest is not None
    failing = asyncio.ensure_future(race.failed(race._newest, End("no")))
    await asyncio.sleep(0)
    race.over = True
    course.works.set_result(True)
    await failing
    assert course.launched == ["sse"]
    assert not course.ends
