"""What is served beside the transports: status, health, schema, one message at once."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from jsonschema import Draft202012Validator
from websockets.asyncio.client import connect

from app import __version__
from app.core.sampler import State
from app.factory import default_sources
from app.routes import ASSET_TYPES, PAGE_HEADERS, WEB, assets
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
        assert status["publications"] == {"alpha": 12, "beta": 12}
        assert status["deliveries"].keys() == status["clients"].keys()
        assert status["resumes"]["first"] == 3
        assert (status["skips"], status["evictions"]) == (0, 0)
        assert status["loop"]["longestMs"] >= status["loop"]["recentMs"] >= 0
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


async def test_without_the_channel_the_answer_says_so(stage: Opener) -> None:
    """As every other door does."""
    async with stage("alpha") as at:
        response = await get(at, "/api/metrics")
        assert response.status_code == 404
        assert response.json()["code"] == "UNKNOWN_CHANNEL"


async def test_the_page_is_made_of_what_may_be_asked_for_from_anywhere(stage: Opener) -> None:
    """A browser sends an Origin with its own page's modules, behind whatever proxy; Host counts."""
    async with stage("metrics") as at, http_client(at.served) as http:
        for path in assets(WEB):
            foreign = await http.get(path, headers={"Origin": "http://evil.example"})
            assert foreign.status_code == (403 if path in {"/", "/favicon.ico"} else 200)
            assert "Access-Control-Allow-Origin" not in foreign.headers
            rebound = await http.get(path, headers={"Host": "evil.example"})
            assert rebound.status_code == 403


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


# The page and its modules


async def test_each_file_of_the_page_has_its_own_path(stage: Opener) -> None:
    """Modules, styles and pictures, each as what it is and under the policy of the page."""
    async with stage("alpha") as at:
        for file in WEB.rglob("*"):
            if file.suffix in ASSET_TYPES and "node_modules" not in file.parts:
                response = await get(at, f"/{file.relative_to(WEB).as_posix()}")
                assert response.content == file.read_bytes()
                assert response.headers["Content-Type"].startswith(ASSET_TYPES[file.suffix])
                assert all(response.headers[key] == text for key, text in PAGE_HEADERS.items())
        page = await get(at, "/")
        assert page.content == (WEB / "index.html").read_bytes()
        assert page.headers["Content-Type"] == "text/html; charset=utf-8"
        assert (await get(at, "/favicon.ico")).headers["Content-Type"] == "image/svg+xml"


async def test_the_page_is_compressed_for_who_can_take_it(stage: Opener) -> None:
    """The same bytes to all others."""
    async with stage("alpha") as at, http_client(at.served) as http:
        plain = await http.get("/dashboard/style.css", headers={"Accept-Encoding": "identity"})
        pressed = await http.get("/dashboard/style.css", headers={"Accept-Encoding": "br, gzip"})
        assert "Content-Encoding" not in plain.headers
        assert pressed.headers["Content-Encoding"] == "gzip"
        assert int(pressed.headers["Content-Length"]) < len(plain.content) / 2
        assert plain.content == pressed.content == (WEB / "dashboard" / "style.css").read_bytes()


async def test_what_a_browser_has_is_not_sent_again(stage: Opener) -> None:
    """It asks each time, since the next version may be there."""
    async with stage("alpha") as at, http_client(at.served) as http:
        first = await http.get("/dashboard/style.css")
        assert first.headers["Cache-Control"] == "no-cache"
        for known, status in ((first.headers["ETag"], 304), ('W/"another"', 200)):
            again = await http.get("/dashboard/style.css", headers={"If-None-Match": known})
            assert again.status_code == status
            assert again.headers["ETag"] == first.headers["ETag"]
            assert again.content == (first.content if status == 200 else b"")


def test_nothing_else_of_the_folder_is_served(tmp_path: Path) -> None:
    """What a package manager, a type checker or an editor left there stays there."""
    served = ("client/deep/main.js", "page.css", "icon.svg")
    others = (
        "client/package.json",
        "client/main.d.ts",
        "client/README.md",
        "client/node_modules/react/index.js",
        "main.js.swp",
        "index.html",
    )
    for name in (*served, *others):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.js").mkdir()
    paths = {"/", "/favicon.ico", *(f"/{name}" for name in served)}
    assert set(assets(tmp_path)) == paths


@pytest.mark.parametrize(
    "path",
    [
        "/index.html",
        "/client/package.json",
        "/client/",
        "/client/../index.html",
        "/client/..%2findex.html",
        "/%2e%2e/routes.py",
        "/..%2froutes.py",
        "//favicon.svg",
    ],
)
async def test_no_path_leads_out_of_the_list(stage: Opener, path: str) -> None:
    """Neither up nor down nor around; the path goes over the wire as it is written."""
    async with stage("alpha") as at:
        reader, writer = await asyncio.open_connection("127.0.0.1", at.served.port)
        writer.write(
            f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
        )
        assert b" 404 " in (await reader.readline())
        writer.close()
        await writer.wait_closed()


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
        for path in (
            "/api/ws",
            "/api/status",
            "/api/schema",
            "/healthz",
            "/",
            "/dashboard/main.js",
        ):
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
