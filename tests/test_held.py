"""Polls on the direct path: no task waits for them, and on the wire nobody sees a difference."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, cast

import pytest
from attrs import define
from starlette.middleware.gzip import GZipMiddleware

from app.server import make_config
from app.settings import Settings
from tests.serving import DrivenHub, Served, driven_hub, serving
from tests.synthetic import SyntheticSource
from transports.connection import Direct

if TYPE_CHECKING:
    import uvicorn
    from starlette.types import ASGIApp

    from transports.stall import StallWatch

PAGE = "https://page.example"
SETTINGS = Settings(allowed_origins=(PAGE,))
POLL = "/api/poll?channels=alpha:1000&wait=20"
ORDINARY, HELD = "h11", "httptools"


@define
class Response:
    """What came: the status line, the headers by name in lower case, the body."""

    status: str
    headers: dict[str, list[str]]
    body: bytes


@define(eq=False)
class Line:
    """A connection that speaks HTTP by hand."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def ask(self, path: str, *lines: str, version: str = "1.1", method: str = "GET") -> None:
        """Send a request."""
        head = [f"{method} {path} HTTP/{version}", "Host: localhost", *lines]
        self.writer.write("\r\n".join([*head, "", ""]).encode())

    async def answer(self, *, body: bool = True) -> Response:
        """Read a response; that to a HEAD is without a body."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode().splitlines()
        headers: dict[str, list[str]] = {}
        for line in filter(None, head[1:]):
            name, _, value = line.partition(": ")
            headers.setdefault(name.lower(), []).append(value)
        size = int(headers["content-length"][0]) if body else 0
        return Response(head[0], headers, await self.reader.readexactly(size))

    async def closed(self) -> bool:
        """Wait for the end of the connection, before which nothing more may come."""
        return await self.reader.read() == b""


@contextlib.asynccontextmanager
async def lines(served: Served, count: int = 1) -> AsyncIterator[list[Line]]:
    """Connect so many times."""
    opened = [Line(*await asyncio.open_connection("127.0.0.1", served.port)) for _ in range(count)]
    try:
        yield opened
    finally:
        for line in opened:
            line.writer.close()


@contextlib.asynccontextmanager
async def driven(server: str = HELD) -> AsyncIterator[tuple[DrivenHub, Served]]:
    """A server with one message to begin with."""
    hub = driven_hub([SyntheticSource("alpha")], SETTINGS, epoch="held")
    async with serving(hub, SETTINGS, server) as served:
        hub.tick(1)
        yield hub, served


async def parked(hub: DrivenHub, polls: int) -> None:
    """Wait until so many polls are held."""
    async with asyncio.timeout(10):
        while hub.clients()["longpoll"] != polls:  # noqa: ASYNC110 - nobody announces it
            await asyncio.sleep(0.001)


def since(hub: DrivenHub, path: str = POLL) -> str:
    """A poll that has nothing to be answered yet."""
    return f"{path}&since={hub.log.epoch}:{hub.log.head}"


async def test_no_task_waits_for_an_answer() -> None:
    """And each connection gets one poll's answer after the other."""
    async with driven() as (hub, served), lines(served, 5) as clients:
        before = asyncio.all_tasks()
        for tick in range(2, 5):
            for client in clients:
                client.ask(since(hub))
            await parked(hub, 5)
            assert asyncio.all_tasks() <= before
            hub.tick(tick)
            bodies = {(await client.answer()).body for client in clients}
            assert len(bodies) == 1
            assert f'"cursor":"held:{tick}"'.encode() in bodies.pop()
            await parked(hub, 0)


@pytest.mark.parametrize("wait", [True, False], ids=["held", "at once"])
@pytest.mark.parametrize(
    "header",
    ["X-Nothing: at all", "Origin: http://localhost", f"Origin: {PAGE}", "Connection: close"],
)
async def test_the_head_is_that_of_the_ordinary_way(header: str, wait: bool) -> None:  # noqa: FBT001
    """With what the guard adds, and with what uvicorn does."""
    heads = []
    for server in (ORDINARY, HELD):
        async with driven(server) as (hub, served), lines(served) as (client,):
            client.ask(since(hub) if wait else POLL, header)
            if wait:
                await parked(hub, 1)
                hub.tick(2)
            response = await client.answer()
            assert response.headers.pop("date")
            heads.append((response.status, {k: sorted(v) for k, v in response.headers.items()}))
            if header.startswith("Connection"):
                assert await client.closed()
    ordinary, held = heads
    assert held == ordinary


async def test_a_refusal_is_that_of_the_ordinary_way() -> None:
    """And the connection is used again."""
    answers = []
    for server in (ORDINARY, HELD):
        async with driven(server) as (_, served), lines(served) as (client,):
            for _ in range(2):
                client.ask("/api/poll?channels=alpha&wait=soon")
                response = await client.answer()
                assert response.headers["cache-control"] == ["no-store"]
                answers.append((response.status, b'"INVALID_MESSAGE"' in response.body))
    assert answers == [("HTTP/1.1 400 Bad Request", True)] * 4


async def test_polls_that_come_before_the_answer_are_answered_in_order() -> None:
    """One after the other, though the second could be answered before."""
    async with driven() as (hub, served), lines(served) as (client,):
        client.ask(since(hub))
        client.ask("/healthz")
        client.ask(POLL)
        await parked(hub, 1)
        hub.tick(2)
        bodies = [(await client.answer()).body for _ in range(3)]
        assert bodies[1] == b'{"status":"ok"}'
        assert b'"cursor":"held:2"' in bodies[0]
        assert b'"first"' in bodies[2]


async def test_who_speaks_http_1_0_has_the_ordinary_way() -> None:
    """And the connection's end as the end of the answer."""
    async with driven() as (hub, served), lines(served) as (client,):
        client.ask(since(hub), version="1.0")
        await parked(hub, 1)
        hub.tick(2)
        assert b'"cursor":"held:2"' in (await client.answer()).body
        assert await client.closed()


async def test_who_asks_for_the_head_alone_gets_no_body() -> None:
    """The next answer begins where it would else begin."""
    async with driven() as (_, served), lines(served) as (client,):
        client.ask(POLL, method="HEAD")
        assert (await client.answer(body=False)).headers["content-length"] != ["0"]
        client.ask(POLL)
        assert (await client.answer()).body.startswith(b"{")


async def test_what_changes_answers_on_their_way_is_not_passed_by(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A compressing middleware around the application."""

    def make(settings: Settings, app: ASGIApp, watch: StallWatch) -> uvicorn.Config:
        return make_config(settings, GZipMiddleware(app, minimum_size=1), watch)

    monkeypatch.setattr("tests.serving.make_config", make)
    async with driven() as (hub, served), lines(served) as (client,):
        client.ask(since(hub), "Accept-Encoding: gzip")
        await parked(hub, 1)
        hub.tick(2)
        response = await client.answer()
        assert response.headers["content-encoding"] == ["gzip"]
        assert b'"cursor":"held:2"' in gzip.decompress(response.body)


async def test_a_connection_that_is_just_being_cut_is_not_written_to() -> None:
    """It hears of its end a turn of the loop later than its transport."""
    async with driven() as (hub, served), lines(served, 2) as (client, other):
        for line in (client, other):
            line.ask(since(hub))
        await parked(hub, 2)
        assert served.server is not None
        connections = cast("list[Direct]", list(served.server.server_state.connections))
        port = client.writer.get_extra_info("sockname")[1]
        (cut,) = [c for c in connections if c.transport.get_extra_info("peername")[1] == port]
        hub.tick(2)
        cut.abort()
        assert b'"cursor":"held:2"' in (await other.answer()).body
        with pytest.raises(ConnectionResetError):
            await client.closed()
        await parked(hub, 0)


async def test_the_head_of_a_stream_is_that_of_the_ordinary_way() -> None:
    """And comes together with the first events."""
    heads = []
    for server in (ORDINARY, HELD):
        async with driven(server) as (_, served), lines(served) as (client,):
            client.ask("/api/sse?channels=alpha:1000", f"Origin: {PAGE}")
            head = (await client.reader.readuntil(b"\r\n\r\n")).decode().lower().splitlines()
            heads.append(sorted(line for line in head if not line.startswith("date")))
            await client.reader.readuntil(b"event: alpha")
    ordinary, direct = heads
    assert direct == ordinary
