"""What is served beside the transports: status, health, schema, one message at once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from jsonschema import Draft202012Validator
from websockets.asyncio.client import connect

from app import __version__
from app.core.sampler import State
from app.factory import default_sources
from app.settings import Settings
from tests.clientbase import http_client
from tests.clients import WIRES, Want
from tests.received import Body, parse_events
from tests.synthetic import SyntheticSource

if TYPE_CHECKING:  # pytest wants to be the first to import a plugin
    from tests.stage import Opener, Stage

pytest_plugins = ["tests.stage"]


async def get(at: Stage, path: str) -> httpx.Response:
    async with http_client(at.served) as http:
        return await http.get(path)


async def one_of_each(at: Stage, want: Want) -> None:
    """Let a WebSocket, an event stream and a parked poll in."""
    for wire in WIRES:
        await at.settled(await at.join(wire, want))


# Status


async def test_a_request_without_upgrade_counts_the_clients(stage: Opener) -> None:
    """On all transports together; the request itself is none of them."""
    async with stage("alpha") as at:
        assert (await get(at, "/api/ws")).json() == {"status": "ok", "connectedClients": 0}
        await one_of_each(at, Want("alpha"))
        response = await get(at, "/api/ws")
        assert response.json() == {"status": "ok", "connectedClients": 3}
        assert response.headers["Cache-Control"] == "no-store"


async def test_status_tells_what_the_server_does(stage: Opener) -> None:
    """Who is there, what has been done for them, and what that has cost."""
    async with stage("alpha", "beta") as at:
        await one_of_each(at, Want("alpha"))
        at.tick(1, 12)
        status: Body = (await get(at, "/api/status")).json()
        assert status["clients"] == {"websocket": 1, "sse": 1, "longpoll": 0}
        assert status["channels"] == ["alpha", "beta"]
        assert (status["cohorts"], status["head"]) == (1, 24)
        assert (status["status"], status["version"]) == ("ok", __version__)
        assert status["epoch"] == at.hub.log.epoch
        for name in ("cpuSeconds", "rssBytes"):
            assert status["self"][name] > 0


async def test_status_counts_work_and_not_clients(stage: Opener) -> None:
    """A second client of each transport costs no render and no encode."""
    async with stage("alpha") as at:
        at.tick(1, 12)
        counts = []
        for _ in range(2):
            clients = [await at.join(wire, Want("alpha", 1000), history=5) for wire in WIRES]
            await asyncio.gather(*(client.news(2) for client in clients))
            status = (await get(at, "/api/status")).json()
            counts.append((status["renders"], status["encodes"]))
        assert counts == [(6, 6), (6, 6)]
        assert counts[-1] == (at.hub.counters.renders, at.hub.counters.encodes)


async def test_status_tells_how_each_sampler_is(stage: Opener) -> None:
    """Its state, and what it says for itself."""
    beta = SyntheticSource("beta")
    beta.vanish("no engine")
    sources = [SyntheticSource("alpha"), beta]
    async with stage(sources=sources, live=True, tick=100) as at:
        samplers = at.hub.samplers
        await at.until(lambda: samplers["alpha"].state is State.OK)
        await at.until(lambda: samplers["beta"].state is State.UNAVAILABLE)
        status: Body = (await get(at, "/api/status")).json()
        assert status["samples"] >= status["sampler"]["alpha"]["samples"] > 0
        told = {name: (s["state"], s["error"]) for name, s in status["sampler"].items()}
        assert told == {"alpha": ("ok", None), "beta": ("unavailable", "no engine")}


# Health


async def test_it_is_alive_before_it_is_ready(stage: Opener) -> None:
    """Ready once the first sample is held."""
    alpha = SyntheticSource("alpha", failure=ValueError("not yet"))
    async with stage(sources=[alpha], live=True, tick=100) as at:
        assert (await get(at, "/healthz")).status_code == 200
        early = await get(at, "/readyz")
        assert (early.status_code, early.json()["ready"]) == (503, False)
        alpha.failure = None
        await at.until(lambda: at.hub.log.head > 0)
        late = await get(at, "/readyz")
        assert (late.status_code, late.json()["ready"]) == (200, True)
        assert late.headers["Cache-Control"] == "no-store"


async def test_it_is_not_ready_while_it_drains(stage: Opener) -> None:
    """But alive."""
    async with stage("alpha", live=True, tick=100) as at:
        await at.until(lambda: at.hub.log.head > 0)
        at.hub.draining = True
        assert (await get(at, "/readyz")).status_code == 503
        assert (await get(at, "/healthz")).status_code == 200
        assert (await get(at, "/api/status")).json()["status"] == "draining"


# One message at once


async def test_there_is_no_metrics_message_before_the_first_sample(stage: Opener) -> None:
    """503, and the `error` object as of any refusal."""
    async with stage("metrics") as at:
        response = await get(at, "/api/metrics")
        assert response.status_code == 503
        assert response.json()["code"] == "OVERLOADED"


async def test_a_metrics_message_is_there_at_once(stage: Opener) -> None:
    """5000 ms and standard, whatever the server's default; the bytes of that cohort."""
    async with stage("metrics", interval=2000) as at:
        at.tick(1, 12)
        response = await get(at, "/api/metrics")
        client = await at.join("sse", Want("metrics", 5000, "standard"))
        assert response.text == (await client.news())[0].text
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["Content-Type"] == "application/json"
        assert at.hub.counters.renders == 1


# Schema


async def test_the_schema_is_valid_and_describes_what_is_sent(stage: Opener) -> None:
    """As one document: each message is exactly one of those that it lists."""
    async with stage("alpha") as at:
        schema: Body = (await get(at, "/api/schema")).json()
        Draft202012Validator.check_schema(schema)
        at.tick(1, 5)
        clients = [await at.join(wire, Want("alpha"), since="x:1", history=3) for wire in WIRES]
        for client in clients:
            await client.until("alpha")
            for message in client.received:
                Draft202012Validator(schema).validate(message.body)
        with pytest.raises(Exception, match="is not valid under any"):
            Draft202012Validator(schema).validate({"type": "delta"})


# Below a proxy's path


@pytest.mark.parametrize("prefix", ["", "/pulse", "/pulse/"])
async def test_all_works_below_a_path(stage: Opener, prefix: str) -> None:
    """Whether the proxy strips it or not."""
    async with stage("alpha", root_path="/pulse") as at, http_client(at.served) as http:
        at.tick(1)
        prefix = prefix.removesuffix("/")
        batch = (await http.get(f"{prefix}/api/poll?channels=alpha")).json()
        assert batch["messages"][0]["cursor"] == at.head
        async with http.stream("GET", f"{prefix}/api/sse?channels=alpha") as response:
            first = await anext(parse_events(response.aiter_raw()))
        assert first.kind == "connected"
        address = at.served.ws.replace("/api/ws", f"{prefix}/api/ws")
        async with connect(address, proxy=None) as websocket:
            assert '"connected"' in str(await websocket.recv())
        for path in ("/api/ws", "/api/status", "/api/schema", "/healthz", "/", "/live.js"):
            assert (await http.get(prefix + path)).status_code == 200
        assert (await http.get("/other/api/status")).status_code == 404


# The host's own source


def numbers(body: Any) -> list[float]:  # noqa: ANN401 - any part of a JSON document
    if isinstance(body, dict):
        return [number for part in body.values() for number in numbers(part)]
    return [body] if isinstance(body, int | float) else []


async def test_metrics_have_the_shape_of_the_page(stage: Opener) -> None:
    """Exactly these keys, never null, and figures that fit together."""
    async with stage(sources=default_sources(Settings()), live=True) as at:
        for wire in WIRES:
            client = await at.join(wire, Want("metrics", 1000, "simple"))
            (simple,) = await client.news()
            assert list(simple.body["data"]) == ["cpu", "memory", "disk", "uptime"]
            client = await at.join(wire, Want("metrics", 1000))
            (standard,) = await client.news()
            data = standard.body["data"]
            assert {key: list(part) for key, part in data.items() if isinstance(part, dict)} == {
                "cpu": ["usage", "cores", "loadAvg"],
                "memory": ["total", "used", "free", "usage"],
                "disk": ["total", "used", "free", "usage", "path"],
            }
            assert list(data) == ["cpu", "memory", "disk", "uptime", "hostname"]
            assert data["memory"]["used"] + data["memory"]["free"] == data["memory"]["total"]
            shares = [data[key]["usage"] for key in ("cpu", "memory", "disk")]
            shares += [simple.body["data"][key] for key in ("cpu", "memory", "disk")]
            assert all(0 <= share <= 100 for share in shares)
            assert len(data["cpu"]["loadAvg"]) == 3
            assert all(number >= 0 for number in numbers(data))
            assert standard.body["windowMs"] > 0
