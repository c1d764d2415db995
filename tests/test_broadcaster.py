"""The broadcaster: samples become publications, and everybody whom they concern is told."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import math
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from attrs import define, field

from app.core.broadcaster import RETRY_MS, Broadcaster, HubSettings
from app.core.log import Publication
from app.core.sampler import DEAD_TICKS, PROMPT_S, State
from app.core.session import Session
from schema.errors import ErrorCode, InvalidMessage, ProtocolError
from schema.fields import Detail, GapReason
from schema.messages import Subscribe
from tests.manual_clock import ManualClock
from tests.synthetic import SyntheticSource
from transports.base import Wire

START = 1000.0


@define(eq=False)
class Client:
    """A client on a wire, and how often it was woken."""

    hub: Broadcaster
    wire: Wire = Wire.SSE
    calls: int = 0
    session: Session = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.session = self.hub.open(self.wire, self.wake)

    def wake(self) -> None:
        self.calls += 1

    def subscribe(self, *channels: str, **keys: Any) -> None:  # noqa: ANN401
        keys = {"interval": 1000} | keys
        self.session.subscribe([Subscribe(channel, **keys) for channel in channels])

    def told(self) -> list[str]:
        bodies = [json.loads(frame.text) for frame in self.session.take()]
        return [
            f"{body['type']} {body.get('cursor') or body.get('reason') or body.get('message', '')}"
            for body in bodies
        ]


@define(eq=False)
class Sink:
    """A connection that is written to at once, and takes everything."""

    wire: Wire = Wire.SSE
    fd: int = -1
    taken: list[bytes] = field(factory=list)

    def put(self, data: bytes) -> None:
        self.taken.append(data.partition(b"\r\n")[2])

    def abort(self) -> None: ...


@define(eq=False)
class Bench:
    """A hub with its samplers, on a clock that the test moves."""

    hub: Broadcaster
    manual: ManualClock
    published: list[list[Publication]] = field(factory=list)

    def __attrs_post_init__(self) -> None:
        publish = self.hub.publish

        def note(publications: Any) -> None:  # noqa: ANN401
            if publications:
                self.published.append(list(publications))
            publish(publications)

        self.hub.publish = note  # type: ignore[method-assign]

    async def settled(self, *, blocked: int = 0) -> None:
        """Wait until all that run wait for the clock, but for those that are blocked."""
        for _ in range(10):
            await asyncio.sleep(0)
        samplers = self.hub.samplers.values()

        def all_sleep() -> bool:
            awake = sum(sampler.state is not State.ASLEEP for sampler in samplers)
            return self.manual.sleepers == 1 + awake - blocked

        await until(all_sleep)

    async def run(self, seconds: float) -> None:
        """Let time pass."""
        target = self.manual.now + seconds
        await self.settled()
        while (moment := await self.manual.sleeping()) <= target:
            self.manual.advance_to(moment)
            await self.settled()
        self.manual.advance_to(target)

    @property
    def ticks(self) -> list[list[tuple[str, int]]]:
        """What was published together: channels and ticks."""
        return [sorted((item.channel, item.tick) for item in batch) for batch in self.published]


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop turn until something has become true."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - nobody announces it
            await asyncio.sleep(0)


def source(channel: str = "alpha", **keys: Any) -> SyntheticSource:  # noqa: ANN401
    return SyntheticSource(channel, **keys)


def make_hub(*sources: SyntheticSource, **settings: Any) -> Bench:  # noqa: ANN401
    """Make a hub that does not run."""
    manual = ManualClock(now=START)
    chosen: dict[str, Any] = {
        "host": "here",
        "version": "1.2",
        "epoch": "e",
        "clock": manual.clock,
    } | settings
    return Bench(Broadcaster(sources or [source()], HubSettings(**chosen)), manual)


@contextlib.asynccontextmanager
async def running(*sources: SyntheticSource, **settings: Any) -> AsyncIterator[Bench]:  # noqa: ANN401
    """A hub that runs."""
    at = make_hub(*sources, **settings)
    await at.hub.start()
    try:
        yield at
    finally:
        await at.hub.stop()


# Life


async def test_starting_and_stopping_twice_is_once(caplog: pytest.LogCaptureFixture) -> None:
    """The log says when it began and when it ended."""
    caplog.set_level(logging.INFO)
    at = make_hub(source("alpha"), source("beta"))
    await at.hub.stop()
    await at.hub.start()
    await at.hub.start()
    await at.run(2)

    await at.hub.stop()
    await at.hub.stop()

    assert caplog.messages == [
        "Metrics broadcast started: alpha, beta, every 1000 ms",
        "Metrics broadcast stopped",
    ]
    assert {sampler.state for sampler in at.hub.samplers.values()} == {State.STOPPED}
    assert at.manual.sleepers == 0


async def test_stopping_does_not_wait_for_a_source_that_hangs() -> None:
    """Nor do the other sources suffer from it."""
    gate, entered = threading.Event(), threading.Event()

    def hang() -> None:
        entered.set()
        gate.wait(30)

    async with running(source("alpha", blocker=hang), source("beta")) as at:
        assert await asyncio.to_thread(entered.wait, 30)
        async with asyncio.timeout(1):
            await at.hub.stop()
    gate.set()


@pytest.mark.parametrize("pause", [0.3, 50])
async def test_a_hub_that_is_started_again_goes_on_counting(pause: float) -> None:
    """The log is the same, so ticks only rise, and no window spans the time between."""
    async with running() as at:
        client = Client(at.hub)
        client.subscribe("alpha", interval=5000)
        await at.run(7)
        client.session.take()
        await at.hub.stop()
        at.manual.advance(pause)
        await at.hub.start()
        await at.run(10)
        told = [json.loads(frame.text) for frame in client.session.take()]

    items = at.hub.log.ring("alpha", "here").after(0)
    ticks = [item.tick for item in items]
    assert ticks == sorted(set(ticks))
    assert [item.hole for item in items].count(GapReason.IDLE) == 1
    assert told[0]["reason"] == "idle"
    assert max(body["windowMs"] for body in told[1:]) <= 5000


async def test_a_start_while_it_stops_does_not_leave_it_half_alive() -> None:
    """It is stopped then, and can be started."""
    async with running() as at:
        await at.run(1)
        stopping = asyncio.ensure_future(at.hub.stop())
        await asyncio.sleep(0)
        await at.hub.start()
        await stopping
        assert at.hub.samplers["alpha"].state is State.STOPPED

        await at.hub.start()
        have = len(at.published)
        await at.run(2)
        assert len(at.published) > have


async def test_what_is_held_back_when_it_stops_is_published() -> None:
    """It counts as published: the next one would not bear a hole for it."""
    gate, beta = threading.Event(), source("beta")
    async with running(source("alpha"), beta) as at:
        await at.run(2.5)
        beta.blocker = lambda: gate.wait(30)
        at.manual.advance_to(START + 3)
        await at.settled(blocked=1)

        await at.hub.stop()

        assert at.ticks[-2:] == [[("alpha", 2), ("beta", 2)], [("alpha", 3)]]
        beta.blocker = None
        gate.set()
        await at.hub.start()
        await at.run(3)
        assert at.ticks[-1] == [("alpha", 6), ("beta", 6)]


# Publications of one tick


async def test_publications_of_one_tick_come_together() -> None:
    """A client of both channels is woken once."""
    async with running(source("alpha"), source("beta")) as at:
        await at.run(0.5)
        client = Client(at.hub)
        client.subscribe("alpha", "beta")
        client.session.take()
        calls = client.calls
        await at.run(5)

        assert at.ticks[-5:] == [[("alpha", tick), ("beta", tick)] for tick in range(1, 6)]
        assert client.calls == calls + 5
        assert len(client.told()) == 10


async def test_a_source_that_is_late_for_once_is_not_waited_for_long() -> None:
    """The other one's publication is held back for 50 ms at most."""
    gate, beta = threading.Event(), source("beta")
    async with running(source("alpha"), beta) as at:
        await at.run(2.5)
        beta.blocker = lambda: gate.wait(30)
        at.manual.advance_to(START + 3)
        await at.settled(blocked=1)
        timer = at.hub._publisher._flush_at
        assert timer is not None
        loop = asyncio.get_running_loop()
        assert timer.when() - loop.time() <= PROMPT_S
        before = at.ticks[-1]

        await until(lambda: len(at.published[-1]) == 1)

        assert loop.time() >= timer.when() - 0.001
        assert before == [("alpha", 2), ("beta", 2)]
        assert at.ticks[-1] == [("alpha", 3)]
        beta.blocker = None
        gate.set()
        await at.settled()
        assert at.ticks[-1] == [("beta", 3)]
        await at.run(1)
        assert at.ticks[-1] == [("alpha", 4), ("beta", 4)]


async def test_two_wait_together_for_a_third() -> None:
    """Not each for itself."""
    gate, gamma = threading.Event(), source("gamma")
    async with running(source("alpha"), source("beta"), gamma) as at:
        await at.run(2.5)
        gamma.blocker = lambda: gate.wait(30)
        at.manual.advance_to(START + 3)
        await at.settled(blocked=1)
        await until(lambda: at.ticks[-1][-1][1] == 3)
        gamma.blocker = None
        gate.set()
        await at.settled()

    assert at.ticks[-2:] == [[("alpha", 3), ("beta", 3)], [("gamma", 3)]]


async def test_a_source_that_is_usually_slow_is_not_waited_for() -> None:
    """Nobody is held up by it every time."""
    gate, beta = threading.Event(), source("beta")
    async with running(source("alpha"), beta) as at:
        await at.run(2.5)

        def dawdle() -> None:
            at.manual.now += 2 * PROMPT_S

        beta.blocker = dawdle
        await at.run(1)
        beta.blocker = lambda: gate.wait(30)
        at.manual.advance_to(START + 4)
        await at.settled(blocked=1)

        assert at.ticks[-1] == [("alpha", 4)]
        assert at.hub._publisher._flush_at is None
        gate.set()


async def test_a_source_that_falls_asleep_while_its_publication_is_held_back_is_asleep() -> None:
    """Else the next client would take a publication of yesterday for the newest."""
    gate, alpha = threading.Event(), source("alpha")
    async with running(alpha, source("beta", always=False)) as at:
        client = Client(at.hub)
        client.subscribe("beta")
        await at.run(0.5)
        client.session.leave()
        last = math.ceil(at.hub.samplers["beta"]._wanted_until)
        await at.run(last - 0.5 - at.manual.now)
        alpha.blocker = lambda: gate.wait(30)
        at.manual.advance_to(last)
        await at.settled(blocked=1)
        alpha.blocker = None
        gate.set()
        await at.run(1)

        assert ("beta", last - START) in at.ticks[-2] + at.ticks[-3]
        assert at.hub.samplers["beta"].state is State.ASLEEP
        assert at.hub.log.ring("beta", "here").asleep


# Demand


async def falls_asleep(at: Bench, channel: str) -> float:
    """Let time pass until a source sleeps, and return how long that was."""
    begin = at.manual.now
    while at.hub.samplers[channel].state is not State.ASLEEP:
        await at.run(0.25)
    return at.manual.now - begin


@pytest.mark.parametrize(("interval", "linger"), [(1000, 60), (30_000, 60), (60_000, 120)])
async def test_a_costly_source_runs_while_somebody_asks_and_a_little_longer(
    interval: int, linger: float
) -> None:
    """So that pollers keep it warm."""
    async with running(source("beta", always=False)) as at:
        await at.settled()
        assert at.hub.samplers["beta"].samples == 0
        client = Client(at.hub)
        client.subscribe("beta", interval=interval)
        await at.run(2 * linger)
        client.session.take()
        assert at.hub.samplers["beta"].state is State.OK
        client.session.leave()

        assert await falls_asleep(at, "beta") == pytest.approx(linger, abs=1.5)
        assert at.hub.log.ring("beta", "here").asleep


async def test_a_source_that_slept_opens_with_a_fresh_message() -> None:
    """Its subscriber waits for it, and is then told at once; who resumes is told of the hole."""
    async with running(source("beta", always=False)) as at:
        client = Client(at.hub)
        client.subscribe("beta")
        await at.run(0.5)
        assert client.told()[-1] == "beta e:1"
        client.session.leave()
        await falls_asleep(at, "beta")
        head = at.hub.log.head
        await at.run(1000)
        fresh, resumed = Client(at.hub), Client(at.hub)
        fresh.subscribe("beta")
        resumed.subscribe("beta", since=at.hub.log.cursor(head))
        assert [text.split()[0] for text in fresh.told()] == ["connected", "subscribed"]
        resumed.session.take()
        await at.run(0.5)

        assert fresh.told() == [f"beta e:{head + 1}"]
        assert resumed.told() == ["gap idle", f"beta e:{head + 1}"]


async def test_one_message_wakes_a_source_too() -> None:
    """Who asks for single messages keeps it warm like any other."""
    async with running(source("beta", always=False)) as at:
        await at.settled()
        assert at.hub.newest(Subscribe("beta")) is None
        await at.run(0.5)
        frame = at.hub.newest(Subscribe("beta"))

    assert frame is not None
    assert str(frame.cursor) == "e:1"


# Sources that are not there


async def test_members_are_told_once_that_a_source_is_gone() -> None:
    """Until it was back; who is not subscribed is not told."""
    alpha = source("alpha")
    async with running(alpha, source("beta"), heartbeat_ms=60_000) as at:
        client, other = Client(at.hub), Client(at.hub)
        client.subscribe("alpha")
        other.subscribe("beta", interval=60_000)
        await at.run(1)
        client.session.take()
        other.session.take()
        alpha.vanish("no engine")
        await at.run(20)
        assert (client.told(), other.told()) == (["error no engine"], [])
        assert at.hub.unavailable("alpha") == "no engine"
        late = Client(at.hub)
        late.subscribe("alpha")
        assert late.told()[2] == "error no engine"

        alpha.failure = None
        await at.run(20)
        assert at.hub.unavailable("alpha") is None
        back = client.told()
        alpha.vanish("no engine again")
        await at.run(3)

        assert back[0] == "gap source"
        assert client.told()[-1] == "error no engine again"


# Who is told


async def test_only_those_are_told_whom_it_concerns() -> None:
    """By interval and channel, and by holes; each once, however many publications there are."""
    async with running(source("alpha"), source("beta")) as at:
        await at.run(0.5)
        clients = {name: Client(at.hub) for name in ("every", "second", "other", "nobody")}
        clients["every"].subscribe("alpha")
        clients["second"].subscribe("alpha", interval=2000)
        clients["other"].subscribe("beta", interval=3000)
        for client in clients.values():
            client.session.take()
            client.calls = 0
        await at.run(6)
        calls = {name: client.calls for name, client in clients.items()}
        at.manual.step(5)
        await at.run(1)

    assert calls == {"every": 6, "second": 3, "other": 2, "nobody": 0}
    assert [client.calls - calls[name] for name, client in clients.items()] == [1, 1, 1, 0]


async def test_work_does_not_grow_with_clients() -> None:
    """One sample, one render, one encode for each tick and cohort."""
    async with running() as at:
        await at.run(0.5)
        clients = [Client(at.hub) for _ in range(200)]
        for client in clients:
            client.subscribe("alpha")
            client.session.take()
        for _ in range(10):
            await at.run(1)
            assert {len(client.session.take()) for client in clients} == {1}

        assert at.hub.cohorts == 1
        assert (at.hub.counters.renders, at.hub.counters.encodes) == (11, 11)
        assert at.hub.samplers["alpha"].samples == 12


async def test_a_silent_stream_beats_and_a_poll_does_not() -> None:
    """By the wheel that the hub turns."""
    async with running(heartbeat_ms=2000) as at:
        await at.run(0.5)
        stream, gone, poll = Client(at.hub), Client(at.hub), Client(at.hub, Wire.LONGPOLL)
        stream.session.take()
        gone.session.leave()
        await at.run(2)

    assert [text.split()[0] for text in stream.told()] == ["heartbeat"]
    assert (gone.calls, poll.calls) == (0, 0)


async def test_a_cohort_that_is_silent_shares_one_heartbeat() -> None:
    """In time, with the newest place; who is told of messages one by one beats by itself."""
    async with running(heartbeat_ms=10_000) as at:
        await at.run(0.5)
        sink, client, other = Sink(), Client(at.hub), Client(at.hub)
        for one in (client, other):
            one.subscribe("alpha", interval=60_000)
            one.session.take()
        client.session.join(sink)
        await at.run(59.5)
        assert sink.taken[-1].startswith(b"event: alpha\nid: e:61\n")
        sink.taken.clear()
        client.calls = 0
        await at.run(9.75)
        (beat,) = sink.taken
        await at.run(10)

    assert beat.startswith(b"event: heartbeat\ndata: {")
    assert b'"cursor":"e:70"' in beat
    assert len(sink.taken) == 2
    assert client.calls == 0


# Clients


def test_clients_are_counted_by_their_wire() -> None:
    """Those that left are not."""
    at = make_hub()
    for wire, count in ((Wire.WEBSOCKET, 3), (Wire.SSE, 2), (Wire.LONGPOLL, 1)):
        for _ in range(count):
            Client(at.hub, wire)
    Client(at.hub).session.leave()

    assert at.hub.clients() == {"websocket": 3, "sse": 2, "longpoll": 1}


def test_an_event_stream_is_told_how_long_to_stay_away() -> None:
    """At random, so that not all come back at once; a poll is not greeted."""
    at = make_hub()
    retries = [Client(at.hub).session.take()[0].retry or 0 for _ in range(50)]

    assert RETRY_MS[0] <= min(retries) < max(retries) <= RETRY_MS[1]
    assert Client(at.hub, Wire.LONGPOLL).told() == []


@pytest.mark.parametrize("wire", Wire)
def test_there_are_no_more_clients_than_there_may_be(wire: Wire) -> None:
    """Until one leaves."""
    at = make_hub(max_clients=2)
    first, _ = Client(at.hub), Client(at.hub)

    with pytest.raises(ProtocolError, match="as many clients") as refused:
        Client(at.hub, wire)

    assert refused.value.code is ErrorCode.OVERLOADED
    first.session.leave()
    Client(at.hub, wire)


@pytest.mark.parametrize("wire", [Wire.WEBSOCKET, Wire.SSE])
def test_a_hub_that_drains_takes_no_streams(wire: Wire) -> None:
    """They are to come back later."""
    at = make_hub()
    at.hub.draining = True

    with pytest.raises(ProtocolError, match="is going") as refused:
        Client(at.hub, wire)

    assert refused.value.code is ErrorCode.OVERLOADED
    assert at.hub.sessions == set()


def test_a_hub_that_drains_answers_polls_with_a_farewell() -> None:
    """At once, without any data, with the cursor that came."""
    at = make_hub()
    at.hub.draining = True
    client = Client(at.hub, Wire.LONGPOLL)
    client.subscribe("alpha", since=at.hub.log.cursor(0))

    body = json.loads(client.session.batch(client.session.take()))

    (message,) = body["messages"]
    assert RETRY_MS[0] <= message["afterMs"] <= RETRY_MS[1]
    assert (message["type"], body["cursor"]) == ("reconnect", "e:0")


# What sessions and pages ask for


def test_a_channel_that_there_is_not_is_named_and_cut() -> None:
    """A long name must not fill the log and the wire."""
    at = make_hub(source("alpha"), source("beta"))

    with pytest.raises(ProtocolError, match="must be one of alpha, beta, got 'nope'") as refused:
        at.hub.check("nope")
    assert (refused.value.code, refused.value.channel) == (ErrorCode.UNKNOWN_CHANNEL, "nope")
    with pytest.raises(ProtocolError) as refused:
        at.hub.cohort(Subscribe("x" * 10_000))
    assert len(refused.value.message) < 200
    assert refused.value.channel == "x" * 64


def test_a_detail_that_a_channel_has_not_is_an_invalid_message() -> None:
    """It names the key and what there is."""
    at = make_hub()

    with pytest.raises(InvalidMessage, match="detail: must be one of simple, standard "):
        at.hub.cohort(Subscribe("alpha", detail=Detail.FULL))

    assert at.hub.check("alpha", Detail.SIMPLE) is at.hub.samplers["alpha"].source
    assert at.hub.cohorts == 0


@pytest.mark.parametrize(
    ("tick_ms", "interval", "ticks"),
    [(1000, None, 5), (1000, 1000, 1), (1000, 1001, 2), (1000, 60_000, 60), (700, 1000, 2)],
)
def test_an_interval_is_rounded_up_to_ticks(tick_ms: int, interval: int | None, ticks: int) -> None:
    """Without one it is the server's own."""
    at = make_hub(tick_ms=tick_ms)

    assert at.hub.cohort(Subscribe("alpha", interval)).key.ticks == ticks


def test_a_cohort_lives_as_long_as_it_has_members() -> None:
    """Who asks for the same is in the same."""
    at = make_hub()
    first, second = Client(at.hub), Client(at.hub)
    first.subscribe("alpha", interval=4001)
    second.subscribe("alpha", interval=5000)
    cohort = at.hub.cohort(Subscribe("alpha"))
    assert cohort.members == {first.session, second.session}
    counts = [at.hub.cohorts]

    for client in (first, second):
        client.session.leave()
        counts.append(at.hub.cohorts)

    assert counts == [1, 1, 0]


async def test_one_message_of_the_newest_sample_leaves_no_cohort_behind() -> None:
    """And takes none from those who are in it."""
    async with running() as at:
        assert at.hub.newest(Subscribe("alpha")) is None
        await at.run(3)
        frame = at.hub.newest(Subscribe("alpha"))
        assert frame is not None
        assert json.loads(frame.text)["intervalMs"] == 5000
        assert (str(frame.cursor), at.hub.cohorts) == (f"e:{at.hub.log.head}", 0)
        client = Client(at.hub)
        client.subscribe("alpha", interval=5000)
        assert at.hub.newest(Subscribe("alpha")) is frame
        assert at.hub.cohorts == 1
        simple = at.hub.newest(Subscribe("alpha", detail=Detail.SIMPLE))
        assert simple is not frame
        with pytest.raises(ProtocolError):
            at.hub.newest(Subscribe("nope"))


async def test_a_hub_is_ready_when_its_sources_are() -> None:
    """Those that always run; not before the first sample, and not while it drains."""
    alpha = source("alpha")
    async with running(alpha, source("beta", always=False)) as at:
        ready = [at.hub.ready]
        await at.run(0.5)
        ready.append(at.hub.ready)
        alpha.failure = ValueError("no")
        await at.run(DEAD_TICKS)
        alpha.failure = None
        ready.append(at.hub.ready)
        await at.run(1)
        ready.append(at.hub.ready)
        at.hub.draining = True
        ready.append(at.hub.ready)

    assert ready == [False, True, False, True, False]


def test_the_times_of_a_hub_are_its_clock_s() -> None:
    """Monotonic seconds, and ms since the epoch."""
    at = make_hub()

    assert (at.hub.now(), at.hub.timestamp()) == (START, 1_700_001_000_000)
