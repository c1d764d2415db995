"""The protocol page, section 3: every row of the resume table, on every transport and server."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from app.core.source import Window
from schema.fields import Detail, GapReason
from tests.clientbase import http_client
from tests.clients import WIRES, Message, Want
from tests.serving import SERVERS
from tests.synthetic import Numbers, SyntheticSource

if TYPE_CHECKING:  # pytest wants to be the first to import a plugin
    from tests.stage import Opener

pytest_plugins = ["tests.stage"]
pytestmark = pytest.mark.parametrize("server", [*SERVERS, "httptools+tls"])

EVERY_TICK = Want("alpha", 1000)


def seqs(messages: list[Message]) -> list[int]:
    return [message.seq for message in messages]


def verdict(*, recovered: bool, reason: str, missed: int | None) -> dict[str, object]:
    return {"alpha": {"recovered": recovered, "reason": reason, "missed": missed}}


def outline(gap: Message) -> tuple[object, ...]:
    """Tell what a gap says."""
    assert gap.kind == "gap"
    return tuple(gap.body[key] for key in ("channel", "reason", "from", "to", "missed"))


async def test_no_cursor_is_the_first_time(stage: Opener, wire: str) -> None:
    """Row 1: a snapshot, and no gap."""
    async with stage("alpha") as at:
        at.tick(1, 3)
        client = await at.join(wire, EVERY_TICK)
        assert seqs(await client.news()) == [3]
        assert client.resumes == verdict(recovered=False, reason="first", missed=None)


@pytest.mark.parametrize("ticks", [0, 3])
async def test_who_missed_nothing_gets_the_next_live_message(
    stage: Opener, wire: str, ticks: int
) -> None:
    """Row 2: also with the cursor of a log in which nothing has happened yet."""
    async with stage("alpha") as at:
        at.tick(1, ticks)
        client = await at.join(wire, EVERY_TICK, since=at.head)
        await at.settled(client)
        at.tick(ticks + 1)
        assert seqs(await client.news()) == [ticks + 1]
        assert client.resumes == verdict(recovered=True, reason="ok", missed=0)


@pytest.mark.parametrize("missed", [1, 31, 360])
async def test_what_was_missed_comes_one_by_one_and_then_live(
    stage: Opener, wire: str, missed: int
) -> None:
    """Row 3: up to 360, which is more than a slow reader may fall behind."""
    async with stage("alpha") as at:
        at.tick(1, 2 + missed)
        client = await at.join(wire, EVERY_TICK, since=at.cursor(2))
        told = await client.news(missed)
        assert client.resumes == verdict(recovered=True, reason="ok", missed=missed)
        at.tick(3 + missed)
        assert seqs(told + await client.news()) == list(range(3, 4 + missed))


async def test_only_due_messages_are_missed(stage: Opener, wire: str) -> None:
    """Row 3: a cursor is resumed at whatever interval, wherever it comes from."""
    async with stage("alpha") as at:
        at.tick(1, 33)
        client = await at.join(wire, Want("alpha", 10_000), since=at.cursor(7))
        assert seqs(await client.news(3)) == [10, 20, 30]
        assert client.resumes == verdict(recovered=True, reason="ok", missed=3)


async def test_who_missed_361_is_too_old(stage: Opener, wire: str) -> None:
    """Row 4: the gap counts what it swallows, which is all but the snapshot."""
    async with stage("alpha") as at:
        at.tick(1, 362)
        client = await at.join(wire, EVERY_TICK, since=at.cursor(1))
        gap, snapshot = await client.news(2)
        assert outline(gap) == ("alpha", "too_old", at.cursor(1), at.cursor(362), 360)
        assert snapshot.seq == 362
        assert client.resumes == verdict(recovered=False, reason="too_old", missed=361)


@pytest.mark.parametrize(("more", "reason"), [(0, "ok"), (1, "too_old")])
async def test_who_missed_more_than_a_mebibyte_is_too_old(
    stage: Opener, wire: str, more: int, reason: str
) -> None:
    """Row 4: however few messages that is."""
    source = SyntheticSource("alpha")
    async with stage(sources=[source]) as at:
        at.tick(1, 10)
        (bare,) = await (await at.join(wire, EVERY_TICK)).news()
        source.padding = 2**20 // 8 - len(bare.text) + more
        at.tick(11, 18)
        client = await at.join(wire, EVERY_TICK, since=at.cursor(10))
        (first,) = await client.news()
        recovered = first.is_data
        assert recovered == (reason == "ok")
        assert client.resumes == verdict(recovered=recovered, reason=reason, missed=8)


async def test_what_is_no_longer_held_cannot_be_counted(stage: Opener, wire: str) -> None:
    """Row 4: `missed` is null rather than a guess."""
    async with stage("alpha", history=60) as at:
        at.tick(1, 300)
        client = await at.join(wire, EVERY_TICK, since=at.cursor(10))
        gap, snapshot = await client.news(2)
        assert outline(gap) == ("alpha", "too_old", at.cursor(10), at.cursor(300), None)
        assert snapshot.seq == 300
        assert client.resumes == verdict(recovered=False, reason="too_old", missed=None)


async def test_a_message_whose_window_is_no_longer_held_is_not_either(
    stage: Opener, wire: str
) -> None:
    """Row 4: it is known how many there were, but the oldest can no longer be rendered."""
    async with stage("alpha", history=60) as at:
        at.tick(1, 300)
        oldest = at.hub.log.ring("alpha", at.hub.settings.host).dropped
        client = await at.join(wire, Want("alpha", 60_000), since=at.cursor(oldest))
        gap, _ = await client.news(2)
        grid = [tick for tick in (60, 120, 180, 240, 300) if tick > oldest]
        to = at.cursor(300)
        assert outline(gap) == ("alpha", "too_old", at.cursor(oldest), to, len(grid) - 1)
        assert client.resumes == verdict(recovered=False, reason="too_old", missed=len(grid))


async def test_another_epoch_is_another_log(stage: Opener, wire: str) -> None:
    """Row 5: whatever its seq, also one that this log has given out too."""
    async with stage("alpha", epoch="second") as at:
        at.tick(1, 3)
        client = await at.join(wire, EVERY_TICK, since="first:2")
        gap, snapshot = await client.news(2)
        assert outline(gap) == ("alpha", "epoch_changed", "first:2", "second:3", None)
        assert snapshot.seq == 3
        assert client.resumes == verdict(recovered=False, reason="epoch_changed", missed=None)


async def test_what_comes_after_a_gap_that_was_told_early_is_not_lost(
    stage: Opener, wire: str
) -> None:
    """An empty log has a gap and no snapshot yet: the first message is one, and all others come."""
    async with stage("alpha", epoch="second") as at:
        client = await at.join(wire, EVERY_TICK, since="first:7")
        gap = (await client.until("gap"))[-1]
        assert outline(gap) == ("alpha", "epoch_changed", "first:7", "second:1", None)
        at.tick(1, 3)
        assert seqs(await client.news(3)) == [1, 2, 3]


@pytest.mark.parametrize("ahead", [1, 10**15])
async def test_a_seq_not_given_out_is_unknown(stage: Opener, wire: str, ahead: int) -> None:
    """Row 6: nobody knows what it stands for, so the gap begins nowhere."""
    async with stage("alpha") as at:
        at.tick(1, 3)
        client = await at.join(wire, EVERY_TICK, since=at.cursor(3 + ahead))
        gap, snapshot = await client.news(2)
        assert outline(gap) == ("alpha", "unknown", None, at.cursor(3), None)
        assert snapshot.seq == 3
        assert client.resumes == verdict(recovered=False, reason="unknown", missed=None)


NO_CURSORS = ["", "7", ":7", "k3v9:", "K3V9:7", "k3v9:07", "k3v9:-1", "k3v9:7\n", " k3v9:7"]
NO_CURSORS += ["k3v9:1e3", "k3v9:7:7", "a" * 33 + ":7", "k3v9:" + "1" * 17]
NO_CURSORS += ["k3v9:\N{ARABIC-INDIC DIGIT SEVEN}"]


@pytest.mark.parametrize("path", ["/api/sse", "/api/poll"])
async def test_what_is_no_cursor_in_a_query_is_an_error_that_names_it(
    stage: Opener, path: str
) -> None:
    """Row 7: with 400."""
    async with stage("alpha") as at, http_client(at.served) as http:
        for text in NO_CURSORS:
            response = await http.get(path, params={"channels": "alpha", "since": text})
            assert response.status_code == 400
            error = response.json()
            assert (error["type"], error["code"]) == ("error", "INVALID_MESSAGE")
            assert "since" in error["message"]


async def test_what_is_no_cursor_in_a_message_is_an_error_that_names_it(stage: Opener) -> None:
    """Row 7: and the connection stays open."""
    async with stage("alpha") as at:
        at.tick(1)
        client = await at.connect("websocket")
        for text in NO_CURSORS:
            await client.subscribe(EVERY_TICK, since=text)
            error = (await client.until("error"))[-1].body
            assert error["code"] == "INVALID_MESSAGE"
            assert "since" in error["message"]
        await client.subscribe(EVERY_TICK)
        assert seqs(await client.news()) == [1]


@pytest.mark.parametrize("wire", ["sse"])
@pytest.mark.parametrize("text", ["7", "K3V9:7", "k3v9:07", "not a cursor"])
async def test_what_is_no_cursor_in_the_header_is_unknown(
    stage: Opener, wire: str, text: str
) -> None:
    """Row 8: an EventSource could never get rid of an error."""
    async with stage("alpha") as at:
        at.tick(1, 3)
        client = await at.join(wire, EVERY_TICK, since=at.cursor(2), last_event_id=text)
        gap, snapshot = await client.news(2)
        assert outline(gap) == ("alpha", "unknown", None, at.cursor(3), None)
        assert snapshot.seq == 3
        assert client.resumes == verdict(recovered=False, reason="unknown", missed=None)


@pytest.mark.parametrize("wire", ["sse"])
async def test_the_header_wins_over_since(stage: Opener, wire: str) -> None:
    """An EventSource repeats its first URL when it comes back, and knows better by then."""
    async with stage("alpha") as at:
        at.tick(1, 5)
        client = await at.join(wire, EVERY_TICK, since=at.cursor(1), last_event_id=at.cursor(3))
        assert seqs(await client.news(2)) == [4, 5]
        assert client.resumes == verdict(recovered=True, reason="ok", missed=2)


async def test_a_cursor_that_recovers_makes_history_be_ignored(stage: Opener, wire: str) -> None:
    """What the chart holds is whole."""
    async with stage("alpha") as at:
        at.tick(1, 9)
        client = await at.join(wire, EVERY_TICK, since=at.cursor(7), history=5)
        assert seqs(await client.news(2)) == [8, 9]


async def test_gap_history_and_snapshot_come_in_this_order(stage: Opener, wire: str) -> None:
    """History replaces what the chart held, so the gap before it is of the past."""
    async with stage("alpha") as at:
        at.tick(1, 9)
        client = await at.join(wire, EVERY_TICK, since="other:7", history=5)
        gap, history, snapshot = await client.news(3)
        assert outline(gap) == ("alpha", "epoch_changed", "other:7", at.cursor(9), None)
        assert seqs(history.items) == [4, 5, 6, 7, 8]
        assert snapshot.seq == 9
        at.tick(10)
        assert seqs(await client.news()) == [10]


async def test_every_channel_has_its_own_verdict(stage: Opener, wire: str) -> None:
    """One cursor, two channels: one of them has missed too much."""
    async with stage("alpha", "beta") as at:
        at.hub.tick(1, "beta")
        for tick in range(1, 363):
            at.hub.tick(tick, "alpha")
        at.hub.tick(362, "beta")
        wants = (EVERY_TICK, Want("beta", 1000))
        client = await at.join(wire, *wants, since=at.cursor(1))
        told = await client.news(3)
        assert client.resumes == {
            "alpha": {"recovered": False, "reason": "too_old", "missed": 362},
            "beta": {"recovered": True, "reason": "ok", "missed": 1},
        }
        assert [message.kind for message in told] == ["gap", "alpha", "beta"]
        assert outline(told[0]) == ("alpha", "too_old", at.cursor(1), at.cursor(363), 361)


async def test_a_cursor_of_one_channel_covers_the_other(stage: Opener, wire: str) -> None:
    """Everything of my subscriptions up to here, whatever bore the number."""
    async with stage("alpha", "beta") as at:
        at.tick(1, 3)
        client = await at.join(wire, EVERY_TICK, since=at.cursor(4))
        assert seqs(await client.news()) == [5]
        assert client.resumes == verdict(recovered=True, reason="ok", missed=1)


async def test_a_hole_just_behind_the_cursor_is_passed(stage: Opener, wire: str) -> None:
    """The gap is of the time after the cursor, although no message lies in it."""
    async with stage("alpha") as at:
        at.tick(1, 3)
        at.tick(9, hole=GapReason.SOURCE)
        client = await at.join(wire, EVERY_TICK, since=at.cursor(3))
        gap, message = await client.news(2)
        assert outline(gap) == ("alpha", "source", at.cursor(3), at.cursor(4), None)
        assert message.seq == 4


@pytest.mark.parametrize("left", WIRES)
async def test_a_cursor_is_valid_on_every_transport(stage: Opener, left: str, wire: str) -> None:
    """Nothing is lost and nothing comes twice between the one and the other."""
    async with stage("alpha") as at:
        at.tick(1, 3)
        one = await at.join(left, EVERY_TICK)
        await one.news()
        at.tick(4)
        assert seqs(await one.news()) == [4]
        at.tick(5, 6)
        await one.aclose()
        other = await at.join(wire, EVERY_TICK, since=one.cursor)
        told = await other.news(2)
        at.tick(7)
        assert seqs(told + await other.news()) == [5, 6, 7]


class Slow(SyntheticSource):
    """Takes longer to render a message than one session may at a time."""

    def render(self, window: Window, detail: Detail) -> Numbers:
        deadline = time.monotonic() + 0.002
        while time.monotonic() < deadline:
            pass
        return super().render(window, detail)


async def test_what_takes_long_to_render_comes_all_the_same(stage: Opener, wire: str) -> None:
    """Rendered in slices, with others in between, and given out as a whole."""
    async with stage(sources=[Slow("alpha")]) as at:
        at.tick(1, 40)
        client = await at.join(wire, EVERY_TICK, since=at.cursor(10))
        assert seqs(await client.news(30)) == list(range(11, 41))
        fresh = await at.join(wire, Want("alpha", 2000), history=15)
        history, snapshot = await fresh.news(2)
        assert seqs(history.items) == list(range(10, 40, 2))
        assert snapshot.seq == 40
