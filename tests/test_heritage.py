"""The protocol that existing dashboards speak, from the heritage rows of PROTOCOL.md alone.

Whatever the server says to such a client is held against golden JSON, key by key and in order; so
nothing of `pulsewire.v1` can reach it unseen.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import signal
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from attrs import asdict, define, frozen
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from app.core.source import Window
from app.settings import Settings
from schema.containers import (
    Container,
    ContainerCpu,
    ContainerMemory,
    ContainerNetwork,
    ContainersMessage,
    HeritageContainer,
)
from schema.fields import Detail, GapReason
from schema.memory import Memory
from schema.messages import DataMessage
from schema.metrics import Cpu, Disk, MetricsMessage, Simple, Standard
from tests.fake_engine import fake_engine
from tests.serving import Served, driven_hub, serving

if TYPE_CHECKING:  # pytest wants to be the first to import a plugin
    from tests.stage import Opener

pytest_plugins = ["tests.stage"]

GOLDEN: dict[str, Any] = json.loads((Path(__file__).parent / "golden/heritage.json").read_text())
SHAPES = {
    "connected": ["connected"],
    "metrics": ["standard", "simple"],
    "containers": ["containers", "simple containers"],
    "heartbeat": ["heartbeat", "first heartbeat"],
    "error": ["error", "error of a channel"],
}
CODES = {
    "INVALID_MESSAGE",
    "UNKNOWN_CHANNEL",
    "CHANNEL_UNAVAILABLE",
    "TOO_MANY_SUBSCRIPTIONS",
    "MESSAGE_TOO_LARGE",
    "RATE_LIMITED",
    "OVERLOADED",
}
PATIENCE_S = 10
STARTED_MS = 1_700_000_000_000

Body = dict[str, Any]


def number(value: object) -> bool:
    """Tell whether it is a number that JSON has; true and false are none."""
    return type(value) in {int, float}


def text_like(pattern: str) -> Callable[[Any], bool]:
    """Return what tells whether a value is a text of such a form."""
    return lambda value: type(value) is str and re.fullmatch(pattern, value) is not None


PLACEHOLDERS: dict[str, Callable[[Any], bool]] = {
    "@milliseconds": lambda value: type(value) is int and value > 1_600_000_000_000,
    "@count": lambda value: type(value) is int and value > 0,
    "@bytes": lambda value: type(value) is int and value >= 0,
    "@seconds": lambda value: number(value) and value >= 0,
    "@load": lambda value: number(value) and value >= 0,
    "@percent": lambda value: number(value) and 0 <= value <= 100,
    "@text": text_like(".+"),
    "@code": lambda value: value in CODES,
    "@epoch": text_like("[a-z0-9]{1,32}"),
    "@cursor": text_like("[a-z0-9]{1,32}:(0|[1-9][0-9]{0,15})"),
}


def fits(value: Any, golden: Any) -> bool:  # noqa: ANN401 - any part of a JSON document
    """Tell whether a value is the golden one: same keys in the same order, values of its type."""
    if isinstance(golden, dict):
        return (
            isinstance(value, dict)
            and list(value) == list(golden)
            and all(fits(value[key], golden[key]) for key in golden)
        )
    if isinstance(golden, list):
        pairs = zip(value, golden, strict=False)
        return len(value) == len(golden) and all(fits(*pair) for pair in pairs)
    if isinstance(golden, str) and golden in PLACEHOLDERS:
        return PLACEHOLDERS[golden](value)
    return type(value) is type(golden) and bool(value == golden)


@frozen
class Machine:
    """A `metrics` source that invents its figures, so that the test can give the ticks."""

    channel: str = "metrics"
    message: type[DataMessage] = MetricsMessage
    details: tuple[Detail, ...] = (Detail.SIMPLE, Detail.STANDARD)
    always: bool = True

    def sample(self) -> None:
        """Do nothing; the test writes the log."""

    def render(self, window: Window, detail: Detail) -> Simple | Standard:
        """Return figures whose uptime tells the tick."""
        if detail is Detail.SIMPLE:
            return Simple(12.5, 60.0, 87.5, window.last)
        return Standard(
            cpu=Cpu(12.5, 8, [0.5, 0.25, 0.125]),
            memory=Memory(total=1000, used=600, free=400, usage=60.0),
            disk=Disk(total=1000, used=700, free=100, usage=87.5, path="/"),
            uptime=window.last,
            hostname="web-1",
        )


@frozen
class Engine:
    """A `containers` source that invents one container."""

    channel: str = "containers"
    message: type[DataMessage] = ContainersMessage
    details: tuple[Detail, ...] = tuple(Detail)
    always: bool = False

    def sample(self) -> None:
        """Do nothing; the test writes the log."""

    def render(self, window: Window, detail: Detail) -> list[Container] | list[HeritageContainer]:
        """Return the container, with figures or without."""
        shop = HeritageContainer(
            id="4c01db0b339c",
            name="shop",
            image="shop:1",
            state="running",
            status="Up 2 hours",
            ports=["80/tcp"],
            created=1_795_413_787,
        )
        if detail is Detail.SIMPLE:
            return [shop]
        return [
            Container(
                **asdict(shop),
                engine="docker",
                health=None,
                cpu=ContainerCpu(0.25, 12.5, 25.0, 0.5, 50.0, None),
                memory=ContainerMemory(50331648, 67108864, None, 0.59),
                network=ContainerNetwork(1024.0, 0.0),
                io=None,
                pids=3,
                age_ms=window.last,
                error=None,
            )
        ]


SOURCES = (Machine(), Engine())


@define(eq=False)
class Dashboard:
    """A dashboard that knows the heritage rows of the page and nothing else."""

    connection: ClientConnection

    async def say(self, kind: str, **keys: object) -> None:
        """Send a message, with the time as such clients do."""
        body = {"type": kind, **keys, "timestamp": time.time() * 1000}
        await self.connection.send(json.dumps(body))

    async def subscribe(self, **keys: object) -> None:
        """Ask for the metrics, if for nothing else."""
        await self.say("subscribe", **({"channel": "metrics"} | keys))

    async def hear(self) -> Body:
        """Return the next message; it is one of the golden ones."""
        text = await asyncio.wait_for(self.connection.recv(), PATIENCE_S)
        assert isinstance(text, str)
        body: Body = json.loads(text)
        assert body["type"] in SHAPES, f"a heritage client got {text}"
        assert any(fits(body, GOLDEN[name]) for name in SHAPES[body["type"]]), text
        return body

    async def uptimes(self) -> list[int]:
        """Return the uptime, which is the tick, of all that comes until a ping is answered."""
        await self.say("ping")
        ticks = []
        while (body := await self.hear())["type"] != "heartbeat":
            ticks.append(body["data"]["uptime"])
        return ticks


@contextlib.asynccontextmanager
async def dashboard(served: Served) -> AsyncIterator[Dashboard]:
    """Connect as an existing dashboard does: without a subprotocol."""
    async with connect(served.ws, proxy=None) as connection:
        client = Dashboard(connection)
        assert fits(await client.hear(), GOLDEN["connected"])
        yield client


async def test_it_is_greeted_and_its_first_data_is_the_acknowledgement(stage: Opener) -> None:
    """The snapshot, at once; then the interval's messages."""
    async with stage(sources=SOURCES) as at, dashboard(at.served) as client:
        at.tick(1, 3)
        await client.subscribe()
        first = await client.hear()
        assert (first["intervalMs"], first["data"]["uptime"]) == (5000, 3)
        at.tick(4, 10)
        assert await client.uptimes() == [5, 10]


async def test_data_comes_as_soon_as_there_is_any(stage: Opener) -> None:
    """A server that has only just started says nothing until then."""
    async with stage(sources=SOURCES) as at, dashboard(at.served) as client:
        await client.subscribe(interval=1000)
        await client.say("ping")
        assert fits(await client.hear(), GOLDEN["first heartbeat"])
        at.tick(1)
        assert (await client.hear())["data"]["uptime"] == 1


async def test_a_ping_is_answered_with_a_heartbeat(stage: Opener) -> None:
    """Before any data its cursor is null, and then the newest one."""
    async with stage(sources=SOURCES) as at, dashboard(at.served) as client:
        await client.say("ping")
        assert fits(await client.hear(), GOLDEN["first heartbeat"])
        at.hub.tick(1, "metrics")
        await client.subscribe()
        data = await client.hear()
        await client.say("ping")
        beat = await client.hear()
        assert fits(beat, GOLDEN["heartbeat"])
        assert beat["cursor"] == data["cursor"]


@pytest.mark.parametrize(
    ("said", "named"),
    [
        ("{", "JSON"),
        ("[]", "object"),
        ('{"type":"hello"}', "type"),
        ('{"channel":"metrics"}', "type"),
        ('{"type":"subscribe"}', "channel"),
        ('{"type":"subscribe","channel":"metrics","interval":"5000"}', "interval"),
        ('{"type":"subscribe","channel":"metrics","interval":1500.5}', "interval"),
        ('{"type":"subscribe","channel":"metrics","interval":true}', "interval"),
        ('{"type":"subscribe","channel":"metrics","interval":999}', "interval"),
        ('{"type":"subscribe","channel":"metrics","interval":60001}', "interval"),
        ('{"type":"subscribe","channel":"metrics","detail":"everything"}', "detail"),
        ('{"type":"subscribe","channel":"metrics","detail":"full"}', "detail"),
        ('{"type":"subscribe","channel":"metrics","timestamp":"now"}', "timestamp"),
        ('{"type":"unsubscribe"}', "channel"),
        (b"\x00", "binary"),
    ],
)
async def test_a_bad_message_is_an_error_and_the_connection_stays_open(
    stage: Opener, said: str | bytes, named: str
) -> None:
    """The error names the key; a subscription that was there before goes on."""
    async with stage(sources=SOURCES) as at, dashboard(at.served) as client:
        at.tick(1)
        await client.subscribe(interval=1000)
        await client.hear()
        await client.connection.send(said)
        error = await client.hear()
        assert fits(error, GOLDEN["error"])
        assert error["code"] == "INVALID_MESSAGE"
        assert named in error["message"]
        at.tick(2)
        assert await client.uptimes() == [2]


async def test_an_unknown_channel_is_an_error_that_names_it(stage: Opener) -> None:
    """And nothing is subscribed."""
    async with stage(sources=SOURCES) as at, dashboard(at.served) as client:
        await client.say("subscribe", channel="weather")
        error = await client.hear()
        assert fits(error, GOLDEN["error of a channel"])
        assert (error["code"], error["channel"]) == ("UNKNOWN_CHANNEL", "weather")
        assert at.hub.cohorts == 0


async def test_unsubscribe_stops_the_data(stage: Opener) -> None:
    """Without a word."""
    async with stage(sources=SOURCES) as at, dashboard(at.served) as client:
        at.tick(1)
        await client.subscribe(interval=1000)
        await client.hear()
        await client.say("unsubscribe", channel="metrics")
        assert await client.uptimes() == []
        at.tick(2, 4)
        assert await client.uptimes() == []


async def test_a_second_subscribe_replaces_the_first(stage: Opener) -> None:
    """Its snapshot comes at once, and from then on only its own messages."""
    async with stage(sources=SOURCES) as at, dashboard(at.served) as client:
        at.tick(1)
        await client.subscribe(interval=1000)
        await client.hear()
        await client.subscribe(interval=3000, detail="simple")
        second = await client.hear()
        assert (second["intervalMs"], second["data"]["uptime"]) == (3000, 1)
        at.tick(2, 6)
        assert await client.uptimes() == [3, 6]


async def test_simple_is_four_numbers(stage: Opener) -> None:
    """The oldest shape of all."""
    async with stage(sources=SOURCES) as at, dashboard(at.served) as client:
        at.tick(1)
        await client.subscribe(detail="simple")
        assert fits(await client.hear(), GOLDEN["simple"])


@pytest.mark.parametrize("detail", ["standard", "simple"])
async def test_containers_come_beside_the_metrics(stage: Opener, detail: str) -> None:
    """Each channel by itself, with the keys that such a dashboard has always read."""
    async with stage(sources=SOURCES) as at, dashboard(at.served) as client:
        at.tick(1)
        await client.subscribe()
        assert (await client.hear())["type"] == "metrics"
        await client.subscribe(channel="containers", detail=detail)
        message = await client.hear()
        assert fits(message, GOLDEN[{"standard": "containers"}.get(detail, "simple containers")])
        at.tick(2, 5)
        assert [(await client.hear())["type"] for _ in range(2)] == ["metrics", "containers"]


async def test_containers_in_full_are_refused(stage: Opener) -> None:
    """The detail is not of heritage, whatever the channel."""
    async with stage(sources=SOURCES) as at, dashboard(at.served) as client:
        await client.subscribe(channel="containers", detail="full")
        assert fits(await client.hear(), GOLDEN["error"])


@pytest.mark.parametrize(
    "keys",
    [
        {"since": "here:1", "history": 60},
        {"since": "gone:1"},
        {"since": "here:99"},
        {"since": None, "history": None},
        {"since": 1_700_000_000_000, "history": "all"},
        {"since": "yesterday", "history": 10_000},
    ],
)
async def test_since_and_history_are_ignored(stage: Opener, keys: dict[str, object]) -> None:
    """They were not heritage's keys, so what an old client means by them is not known."""
    async with stage(sources=SOURCES, epoch="here") as at, dashboard(at.served) as client:
        at.tick(1, 4)
        await client.subscribe(interval=1000, **keys)
        assert await client.uptimes() == [4]


async def test_a_hole_is_passed_without_a_word(stage: Opener) -> None:
    """The next message says by its window that it is short."""
    async with stage(sources=SOURCES) as at, dashboard(at.served) as client:
        at.tick(1, 2)
        await client.subscribe(interval=5000)
        assert (await client.hear())["windowMs"] == 1200
        at.tick(9, hole=GapReason.SUSPEND)
        assert (await client.hear())["windowMs"] == 200


# Where a server writes by itself, its writer can be outrun; the direct path has no writer.
@pytest.mark.parametrize("server", ["h11", "hypercorn"])
@pytest.mark.parametrize(
    ("missed", "expected"), [(30, list(range(2, 32))), (31, [32]), (500, [501])]
)
async def test_a_slow_reader_gets_all_of_it_or_the_newest_alone(
    stage: Opener, missed: int, expected: list[int]
) -> None:
    """Up to 30 messages one by one; of more, the last."""
    async with stage(sources=SOURCES) as at, dashboard(at.served) as client:
        at.tick(1)
        await client.subscribe(interval=1000)
        await client.hear()
        at.tick(2, 1 + missed)
        assert await client.uptimes() == expected


async def test_a_drain_closes_it_with_1012_and_without_a_reconnect() -> None:
    """It could not understand one."""
    chosen = Settings(drain=0.1)
    hub = driven_hub(SOURCES, chosen)
    async with serving(hub, chosen) as served, dashboard(served) as client:
        hub.tick(1)
        await client.subscribe()
        await client.hear()
        assert served.server is not None
        served.server.handle_exit(signal.SIGTERM, None)
        with pytest.raises(ConnectionClosed) as closed:
            await client.hear()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1012


async def test_the_address_tells_its_status_without_an_upgrade(stage: Opener) -> None:
    """What an existing dashboard looks at before it connects."""
    async with (
        stage(sources=SOURCES) as at,
        dashboard(at.served),
        dashboard(at.served),
        httpx.AsyncClient(base_url=at.served.http) as http,
    ):
        response = await http.get("/api/ws")
        assert response.status_code == 200
        assert response.headers["content-type"] == "application/json"
        assert fits(response.json(), GOLDEN["status"])


async def test_the_polling_hook_gets_a_message_at_once(stage: Opener) -> None:
    """The one that a WebSocket gets at the default interval, to the byte; never an old one."""
    async with (
        stage(sources=SOURCES, interval=2000) as at,
        httpx.AsyncClient(base_url=at.served.http) as http,
    ):
        too_soon = await http.get("/api/metrics")
        assert too_soon.status_code == 503
        assert fits(too_soon.json(), GOLDEN["error"])
        for tick in (1, 2):
            at.tick(tick)
            response = await http.get("/api/metrics")
            assert response.status_code == 200
            assert response.headers["content-type"] == "application/json"
            assert response.headers["cache-control"] == "no-store"
            assert fits(response.json(), GOLDEN["standard"])
            assert response.json()["data"]["uptime"] == tick
            assert response.json()["intervalMs"] == 5000


@pytest.fixture(scope="module")
async def measured() -> AsyncIterator[Served]:
    """A server that measures this machine, and the containers of an engine."""
    with fake_engine() as engine:
        engine.add("shop", pace=0.1, nano_cpus=500_000_000)
        async with serving(settings=Settings(tick=100, container_socket=engine.path)) as served:
            yield served


@pytest.mark.parametrize("detail", ["standard", "simple"])
async def test_the_figures_of_this_machine_are_golden(measured: Served, detail: str) -> None:
    """What no invented source can show."""
    async with dashboard(measured) as client:
        await client.subscribe(detail=detail)
        assert fits(await client.hear(), GOLDEN[detail])


@pytest.mark.parametrize("detail", ["standard", "simple"])
async def test_the_containers_of_an_engine_are_golden(measured: Served, detail: str) -> None:
    """From the engine's socket to the dashboard."""
    async with dashboard(measured) as client:
        await client.subscribe(channel="containers", detail=detail)
        golden = {"standard": "containers"}.get(detail, "simple containers")
        assert fits(await client.hear(), GOLDEN[golden])


def test_a_golden_message_fits_nothing_else() -> None:
    """Else all the tests above would be worth nothing."""
    beat = {"type": "heartbeat", "timestamp": STARTED_MS, "cursor": "here:1"}
    golden = GOLDEN["heartbeat"]
    assert fits(beat, golden)
    assert not fits({**beat, "gap": None}, golden)
    assert not fits(dict(reversed(beat.items())), golden)
    assert not fits({**beat, "timestamp": float(STARTED_MS)}, golden)
    assert not fits({**beat, "timestamp": True}, golden)
    assert not fits({**beat, "cursor": "here:01"}, golden)
    assert not fits([beat], golden)
    assert not fits({**GOLDEN["status"], "connectedClients": 2.0}, GOLDEN["status"])
    assert not fits(["metrics", "more"], ["metrics"])


# Whatever it says

EPOCH = "here"
THE_END = "the end"
values: dict[str, st.SearchStrategy[object]] = {
    "channel": st.sampled_from(["metrics", "metrics", "containers", "weather", "", 5, None]),
    "interval": st.sampled_from([1000, 2000, 5000, 60000, 999, "5000", 1500.5, True, None]),
    "detail": st.sampled_from(["simple", "standard", "full", "", 1, None]),
    "since": st.integers(0, 400).map(lambda seq: f"{EPOCH}:{seq}")
    | st.sampled_from([f"{EPOCH}:99999999", "gone:5", "no cursor", 5, None]),
    "history": st.integers(-1, 361) | st.sampled_from(["all", None]),
    "timestamp": st.sampled_from([STARTED_MS, 0.5, -1, "now", None]),
    "protocol": st.just("pulsewire.v1"),
    "resume": st.just({"recovered": True, "reason": "ok", "missed": 0}),
}
kinds = st.sampled_from(
    ["subscribe"] * 4
    + ["unsubscribe", "ping", "subscribed", "history", "gap", "reconnect", "hello", "", 5, None]
)
bodies = st.fixed_dictionaries({"type": kinds}, optional=values).map(json.dumps)
nonsense = st.sampled_from(["", "{", "null", "[]", "{}", '"ping"', b"", b"\x00"]) | st.text()
# So many ticks, the last of them perhaps after a hole; or something that is said.
events = bodies | bodies | nonsense | st.tuples(st.sampled_from([1, 5, 40]), st.booleans())


@pytest.fixture(scope="module")
async def invented() -> AsyncIterator[Served]:
    """A server whose ticks the test gives."""
    async with serving(driven_hub(SOURCES, Settings(), EPOCH)) as served:
        yield served


@given(happening=st.lists(events, max_size=30))
@settings(max_examples=100, derandomize=True, database=None)
async def test_nothing_of_v1_ever_reaches_it(
    invented: Served, happening: list[str | bytes | tuple[int, bool]]
) -> None:
    """Whatever it says, whatever happens: each message that it gets is a golden one."""
    async with dashboard(invented) as client:
        for event in happening:
            if isinstance(event, tuple):
                publish(invented, *event)
            else:
                await client.connection.send(event)
        await client.say("unsubscribe", channel=THE_END)
        while (await client.hear()).get("channel") != THE_END:
            pass


def publish(served: Served, count: int, hole: bool) -> None:  # noqa: FBT001
    hub: Any = served.hub
    newest = hub.log.ring("metrics", hub.settings.host).newest
    tick = 0 if newest is None else newest.tick
    for number_of in range(1, count + 1):
        last = number_of == count
        hub.tick(tick + number_of, hole=GapReason.SOURCE if hole and last else None)
