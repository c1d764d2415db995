"""What a hub tells of itself: each event counted once, and the loop's pauses seen."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from attrs import define, field

from app.core.broadcaster import HubSettings
from app.core.delivery import CATCH_UP
from app.core.heartbeat import RESOLUTION_S
from app.core.session import Session
from schema.cursor import UNREADABLE, Cursor
from schema.fields import GapReason
from schema.messages import Subscribe
from tests.clients import PollClient, Want
from tests.manual_clock import ManualClock
from tests.serving import DrivenHub
from tests.synthetic import SyntheticSource
from transports.base import Wire

if TYPE_CHECKING:  # pytest wants to be the first to import a plugin
    from tests.stage import Opener

pytest_plugins = ["tests.stage"]

NOTHING = {"websocket": 0, "sse": 0, "longpoll": 0}


@define(eq=False)
class Sink:
    """A connection that takes everything."""

    wire: Wire
    fd: int = -1
    taken: list[bytes] = field(factory=list)
    put: Callable[[bytes], None] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.put = self.taken.append

    def abort(self) -> None: ...


@pytest.fixture
def manual() -> ManualClock:
    return ManualClock()


@pytest.fixture
def hub(manual: ManualClock) -> DrivenHub:
    sources = [SyntheticSource("alpha"), SyntheticSource("beta")]
    return DrivenHub(sources, HubSettings(host="h", version="1", epoch="e", clock=manual.clock))


def join(hub: DrivenHub, wire: Wire, *, heritage: bool = False, **keys: Any) -> Session:  # noqa: ANN401
    """Let a client in that has taken what there was at first."""
    session = hub.open(wire, lambda: None, heritage=heritage)
    session.subscribe([Subscribe("alpha", 1000, **keys)])
    session.take()
    return session


def attach(hub: DrivenHub, wire: Wire, *, heritage: bool = False) -> Sink:
    """Let a client in that gets what comes by fan-out."""
    sink = Sink(wire)
    join(hub, wire, heritage=heritage).join(sink)
    return sink


def test_at_first_all_is_zero(hub: DrivenHub) -> None:
    """With a key for all that may come: who reads them need not know when."""
    figures = hub.figures()

    assert figures.clients == figures.deliveries == NOTHING
    assert figures.publications == {"alpha": 0, "beta": 0}
    assert figures.lateness == {"alpha": 0, "beta": 0}
    assert figures.resumes == dict.fromkeys(
        ["first", "ok", "too_old", "epoch_changed", "unknown"], 0
    )
    assert (figures.samples, figures.renders, figures.encodes, figures.cohorts) == (0, 0, 0, 0)
    assert (figures.skips, figures.evictions) == (0, 0)
    assert (figures.pause, figures.pause_recent, figures.pause_longest) == (0, 0, 0)


def test_what_is_fanned_out_is_delivered_to_each(hub: DrivenHub) -> None:
    """To each in its form, in both dialects."""
    hub.tick(1)
    for wire, heritage in (Wire.SSE, False), (Wire.WEBSOCKET, False), (Wire.WEBSOCKET, True):
        attach(hub, wire, heritage=heritage)
    snapshots = hub.figures().deliveries
    hub.tick(2)
    hub.tick(3)

    assert snapshots == {"websocket": 2, "sse": 1, "longpoll": 0}
    assert hub.figures().deliveries == {"websocket": 6, "sse": 3, "longpoll": 0}


def test_only_data_is_delivered(hub: DrivenHub) -> None:
    """No greeting, no gap, no heartbeat; what was not taken neither."""
    hub.tick(1)
    sink = attach(hub, Wire.SSE)
    hub.tick(5, hole=GapReason.SUSPEND)
    (cohort,) = hub._cohorts.values()
    hub._beat_cohort(cohort, hub.now() + 60)
    waiting = hub.open(Wire.SSE, lambda: None)
    waiting.subscribe([Subscribe("beta")])

    assert len(sink.taken) == 2
    assert b"gap" in sink.taken[0]
    assert b"heartbeat" in sink.taken[1]
    assert hub.figures().deliveries == {"websocket": 0, "sse": 2, "longpoll": 0}


def test_what_a_free_wire_takes_is_delivered(hub: DrivenHub) -> None:
    """Message by message."""
    hub.tick(1)
    session = join(hub, Wire.WEBSOCKET)
    for tick in range(2, 6):
        hub.tick(tick)
    session.take()

    assert hub.figures().deliveries == {"websocket": 5, "sse": 0, "longpoll": 0}
    assert hub.figures().skips == 0


@pytest.mark.parametrize("server", ["httptools", "h11"])
async def test_polls_that_share_a_session_are_delivered_to_one_by_one(stage: Opener) -> None:
    """One message and one verdict, but three who get it."""
    async with stage("alpha") as at:
        at.tick(1)
        polls = []
        for count in range(3):
            client = await at.join("longpoll", Want("alpha", 1000), since=at.head)
            assert isinstance(client, PollClient)
            polls.append(asyncio.ensure_future(client.poll()))
            await at.parked(count + 1)
        at.tick(2)
        for poll in polls:
            assert len((await poll).messages) == 1

        assert at.hub.figures().deliveries == {"websocket": 0, "sse": 0, "longpoll": 3}
        assert at.hub.figures().resumes["ok"] == 1


@pytest.mark.parametrize("heritage", [False, True])
def test_a_reader_that_falls_too_far_behind_is_a_skip(hub: DrivenHub, *, heritage: bool) -> None:
    """Once for each gap, in either dialect."""
    hub.tick(1)
    session = join(hub, Wire.WEBSOCKET, heritage=heritage)
    for at in range(2):
        for tick in range(CATCH_UP + 1):
            hub.tick(2 + at * 100 + tick)
        kinds = [json.loads(frame.text)["type"] for frame in session.take()]
        assert kinds == (["alpha"] if heritage else ["gap", "alpha"])

    assert hub.figures().skips == 2


def test_verdicts_are_counted_by_their_reason(hub: DrivenHub) -> None:
    """As the client is told them."""
    for tick in range(1, 400):
        hub.tick(tick, "alpha")
    cursors = [None, Cursor("e", 399), Cursor("e", 1), Cursor("f", 1), Cursor("e", 400), UNREADABLE]
    for since in cursors:
        join(hub, Wire.SSE, since=since)

    assert hub.figures().resumes == {
        "first": 1,
        "ok": 1,
        "too_old": 1,
        "epoch_changed": 1,
        "unknown": 2,
    }


def test_publications_are_counted_by_channel_and_clients_by_wire(hub: DrivenHub) -> None:
    """And what was done for them."""
    hub.tick(1)
    hub.tick(2, "beta")
    join(hub, Wire.SSE)
    figures = hub.figures()

    assert figures.publications == {"alpha": 1, "beta": 2}
    assert figures.clients == {"websocket": 0, "sse": 1, "longpoll": 0}
    assert (figures.renders, figures.encodes, figures.cohorts) == (1, 1, 1)


async def test_a_loop_that_is_held_up_is_seen(hub: DrivenHub, manual: ManualClock) -> None:
    """By the beat that comes late."""
    await hub.start()
    due = await manual.sleeping()
    manual.advance_to(due + 0.375)
    await asyncio.sleep(0)
    late = hub.figures()
    await manual.wake()
    await asyncio.sleep(0)
    then = hub.figures()
    await hub.stop()

    assert (late.pause, late.pause_recent, late.pause_longest) == (0.375, 0.375, 0.375)
    assert (then.pause, then.pause_recent, then.pause_longest) == (0, 0.375, 0.375)
    assert due % RESOLUTION_S == 0


def test_publishing_that_takes_long_is_seen(hub: DrivenHub, manual: ManualClock) -> None:
    """Whenever it comes between two beats."""
    hub.tick(1)
    session = join(hub, Wire.SSE)

    def dawdle() -> None:
        manual.now += 0.125

    session.wake = dawdle
    hub.tick(2)

    assert (hub.figures().pause, hub.figures().pause_recent) == (0, 0.125)
