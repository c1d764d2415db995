"""The server as a process: how it starts, where it listens, and how it can be stopped."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import re
import resource
import signal
import socket
import ssl
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme
from sse_starlette.sse import AppStatus
from starlette.types import Receive, Scope, Send
from websockets.asyncio.client import ClientConnection, connect, unix_connect
from websockets.typing import Subprotocol

from app.core.broadcaster import Broadcaster
from app.listen import bind
from app.server import CUT_S, DrainingServer, make_config
from app.settings import Settings
from tests.process import PATIENCE_S, Process, client, environment, running
from tests.serving import Served, driven_hub, serving
from tests.synthetic import SyntheticSource
from transports.stall import StallWatch

SYNTHETIC = ("-m", "tests.synthetic_server")
V1 = Subprotocol("pulsewire.v1")
LIMITED = """
import resource, runpy
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
runpy.run_module("app", run_name="__main__")
"""
SIGNALS = (signal.SIGTERM, signal.SIGINT)


async def first_of(socket: ClientConnection, kind: str) -> dict[str, Any]:
    """Subscribe to `metrics`, and return the first message of a kind."""
    await socket.send('{"type": "subscribe", "channel": "metrics"}')
    while (message := json.loads(await socket.recv()))["type"] != kind:
        pass
    return dict(message)


async def get_status(url: str, path: str) -> int:
    async with client(url) as http:
        return (await http.get(path)).status_code


async def stop(process: Process) -> None:
    """Stop a server without clients, and see that nothing was wrong with it."""
    process.send(signal.SIGTERM)
    status, took = await process.ended()
    assert (status, process.faults) == (0, [])
    assert took < 2


# How it starts, and where it listens


async def test_it_says_where_it_is_and_that_it_measures() -> None:
    """The port is the real one where any was asked for; without a client the end is at once."""
    async with running() as process:
        url = await process.url()
        await process.line("Metrics broadcast started")

        assert not url.endswith(":0")
        assert await get_status(url, "/healthz") == 200
        process.send(signal.SIGINT)
        status, took = await process.ended()

    assert (status, process.faults) == (0, [])
    assert took < 2


async def test_all_transports_have_a_first_message_soon_after_the_start() -> None:
    """Real figures, on clients that come before the first sample."""
    async with running("--drain", "0") as process:
        url = await process.url()
        async with client(url) as http, connect(f"ws{url[4:]}/api/ws") as one:
            stream = http.stream("GET", "/api/sse", params={"channels": "metrics"})
            messages = await asyncio.gather(
                first_of(one, "metrics"),
                first_event(stream, "metrics"),
                http.get("/api/poll", params={"channels": "metrics"}),
            )
        await stop(process)

    batch = messages[2].json()
    assert messages[0] == messages[1] == batch["messages"][0]
    assert 0 < messages[0]["data"]["memory"]["usage"] < 100


async def first_event(
    stream: contextlib.AbstractAsyncContextManager[httpx.Response], kind: str
) -> dict[str, Any]:
    async with stream as response:
        lines = response.aiter_lines()
        while await anext(lines) != f"event: {kind}":
            pass
        while not (line := await anext(lines)).startswith("data: "):
            pass
    return dict(json.loads(line.removeprefix("data: ")))


async def test_a_second_server_on_the_port_says_so_in_one_line() -> None:
    """And leaves the first one alone."""
    async with running() as process:
        url = await process.url()
        port = url.rpartition(":")[2]
        async with running(program=("-m", "app", "--port", port)) as other:
            other.send(signal.SIGCONT)  # changes nothing
            status, _ = await other.ended()

        assert await get_status(url, "/healthz") == 200
        await stop(process)

    assert status == 1
    assert other.lines == [
        f"pulsewire: port {port} on 127.0.0.1 is already in use; choose another with --port"
    ]


async def test_it_serves_on_a_unix_socket_and_removes_its_file(tmp_path: Path) -> None:
    """HTTP and WebSocket alike."""
    path = str(tmp_path / "pulse.sock")
    async with running("--uds", path, "--access-log", "--drain", "0") as process:
        assert await process.url() == f"unix:{path}"
        transport = httpx.AsyncHTTPTransport(uds=path, verify=False)
        async with httpx.AsyncClient(transport=transport) as http:
            health = await http.get("http://localhost/healthz")
        async with unix_connect(path, "ws://localhost/api/ws", subprotocols=[V1]) as one:
            assert (await first_of(one, "subscribed"))["channel"] == "metrics"

        await stop(process)

    assert health.status_code == 200
    assert not os.path.lexists(path)  # noqa: ASYNC240 - takes no time


async def test_it_serves_under_tls(tmp_path: Path) -> None:
    """All of it, with a certificate and its key from two files."""
    certificate = trustme.CA().issue_cert("localhost")
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    certificate.cert_chain_pems[0].write_to_path(str(chain))
    certificate.private_key_pem.write_to_path(str(key))
    async with running("--tls-cert", str(chain), "--tls-key", str(key)) as process:
        url = await process.url()
        assert url.startswith("https://127.0.0.1:")
        assert await get_status(url, "/healthz") == 200
        trusting = ssl.create_default_context()
        trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
        async with connect(f"wss{url[5:]}/api/ws", ssl=trusting, subprotocols=[V1]) as one:
            assert (await first_of(one, "metrics"))["data"]["cpu"]["cores"] >= 1
        await stop(process)


@pytest.mark.parametrize("name", ["absent.pem", "empty.pem"])
async def test_a_certificate_that_cannot_be_used_is_told_in_one_line(
    tmp_path: Path, name: str
) -> None:
    """With its file and what is wrong with it."""
    path = tmp_path / name
    (tmp_path / "empty.pem").touch()
    async with running("--tls-cert", str(path)) as process:
        process.send(signal.SIGCONT)  # changes nothing
        status, _ = await process.ended()

    assert status == 1
    (line,) = process.lines
    assert line.startswith(f"pulsewire: cannot serve under TLS with {path}: ")


async def test_it_serves_on_ipv6() -> None:
    """Without IPv4 beside it."""
    async with running("--host", "::1", "--access-log") as process:
        url = await process.url()
        assert url.startswith("http://[::1]:")
        assert await get_status(url, "/healthz") == 200
        async with connect(f"ws{url[4:]}/api/ws") as one:
            assert json.loads(await one.recv())["type"] == "connected"
        await stop(process)


async def test_it_serves_below_a_root_path_as_well() -> None:
    """Both for a proxy that strips the prefix and for one that does not, and logs no request."""
    async with running("--root-path", "/deep/pulse") as process:
        url = await process.url()
        for prefix in "", "/deep/pulse":
            assert await get_status(url, f"{prefix}/healthz") == 200
            async with connect(f"ws{url[4:]}{prefix}/api/ws") as one:
                assert json.loads(await one.recv())["type"] == "connected"
        assert await get_status(url, "/deep/healthz") == 404
        await stop(process)

    told = [line for line in process.lines if re.search("/healthz|/api/ws|connection", line)]
    assert told == []


async def test_each_request_is_logged_where_that_is_asked_for() -> None:
    """WebSocket handshakes too. As many files as the kernel allows may be open."""
    async with running("--port", "0", "--access-log", program=("-c", LIMITED)) as process:
        url = await process.url()
        await get_status(url, "/healthz")
        async with connect(f"ws{url[4:]}/api/ws"):
            soft, hard = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
        await process.line('"GET /healthz HTTP/1.1" 200')
        await process.line('"WebSocket /api/ws" [accepted]')
        await stop(process)

    assert soft == hard > 64


async def test_an_application_that_cannot_start_is_status_3(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """As uvicorn has it; the reason is in the log."""

    async def app(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise OSError("no clock")

    hub = driven_hub([], Settings())
    watch = StallWatch(1)
    server = DrainingServer(make_config(Settings(), app, watch), hub, 0, watch)
    with bind(Settings(port=0)) as sock, pytest.raises(SystemExit, match="3"):
        await server.serve([sock])

    assert "no clock" in caplog.text


# How it is stopped


@contextlib.asynccontextmanager
async def stubborn(window: float) -> AsyncIterator[tuple[Process, str]]:
    """Run a server whose sources hang and fail, with clients who do not read, or not even ask."""
    async with running(program=(*SYNTHETIC, str(window))) as process:
        url = await process.url()
        address = httpx.URL(url)
        with contextlib.ExitStack() as clients:
            sockets = []
            for _ in range(3):
                one = clients.enter_context(socket.socket())
                one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                one.setblocking(False)  # noqa: FBT003 - its one argument has no name
                await asyncio.get_running_loop().sock_connect(one, (address.host, address.port))
                sockets.append(one)
            sockets[0].send(b"GET /api/sse?channels=bulky HTTP/1.1\r\nHost: localhost\r\n\r\n")
            async with connect(
                f"ws{url[4:]}/api/ws",
                sock=sockets[1],
                max_queue=1,
                max_size=None,
                ping_interval=None,
            ) as websocket:
                websocket.transport.pause_reading()
                await websocket.send('{"type": "subscribe", "channel": "bulky"}')
                await stalled(url)
                yield process, url
                websocket.transport.abort()


async def stalled(url: str) -> None:
    """Wait until both readers have got as much as the kernel takes for them."""
    async with client(url) as http, asyncio.timeout(PATIENCE_S):
        while True:
            status = (await http.get("/api/status")).json()
            if status["clients"] == {"websocket": 1, "sse": 1, "longpoll": 0} and status["renders"]:
                return
            await asyncio.sleep(0.02)


async def test_nothing_that_hangs_keeps_it_from_ending_in_time() -> None:
    """Neither sources nor readers, nor who has sent no request; and the log stays clean."""
    async with stubborn(1) as (process, url):
        async with client(url) as http:
            ready = await http.get("/readyz")
            status = (await http.get("/api/status")).json()
        process.send(signal.SIGTERM)
        code, took = await process.ended()

    assert ready.status_code == 503
    assert status["sampler"]["failing"]["state"] == "failing"
    assert status["sampler"]["failing"]["error"] == "OSError: the disk is gone"
    assert code == 0
    assert 1 <= took < 1 + 2
    assert [line for line in process.faults if "source failing is failing" not in line] == []


async def test_a_second_signal_of_either_kind_ends_it_at_once() -> None:
    """Whatever hangs; each of the four pairs on a server of its own."""
    async with contextlib.AsyncExitStack() as servers:
        for first, second in itertools.product(SIGNALS, SIGNALS):
            process, _ = await servers.enter_async_context(stubborn(60))
            process.send(first)
            await process.line(f"{first.name}: draining")
            process.send(second)
            status, took = await process.ended()

            assert status == 0
            assert took < 1
            assert not [line for line in process.faults if "source failing is failing" not in line]


@pytest.mark.parametrize("delay", [0, 0.05])
async def test_signals_while_it_starts_end_it_too(delay: float) -> None:
    """From the moment that it has said where it is."""
    async with running() as process:
        await process.url()
        process.send(signal.SIGTERM)
        await asyncio.sleep(delay)
        with contextlib.suppress(ProcessLookupError):
            process.send(signal.SIGINT)
        status, took = await process.ended()

    assert (status, process.faults) == (0, [])
    assert took < 1


async def test_a_second_signal_ends_even_a_server_whose_event_loop_is_stuck(tmp_path: Path) -> None:
    """As that of one whose log nobody reads (`pulsewire 2>&1 | less`)."""
    path = str(tmp_path / "pulse.sock")
    command = [sys.executable, "-m", "app", "--uds", path, "--access-log"]
    log, stderr = os.pipe()
    child = await asyncio.create_subprocess_exec(
        *command, cwd=tmp_path, env=environment(), stderr=stderr
    )
    os.close(stderr)
    try:
        assert b"Pulsewire is at" in await asyncio.to_thread(os.read, log, 1000)
        with pytest.raises(httpx.TimeoutException):
            await ask_for_ever(path)
        child.send_signal(signal.SIGINT)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(child.wait(), 0.5)
        begin = time.monotonic()
        child.send_signal(signal.SIGTERM)
        await asyncio.sleep(0.3)
        child.send_signal(signal.SIGINT)  # a third one, which puts nothing off
        status = await child.wait()
    finally:
        os.close(log)
        with contextlib.suppress(ProcessLookupError):
            child.kill()

    assert status == -signal.SIGALRM
    assert time.monotonic() - begin < 1


async def ask_for_ever(path: str) -> None:
    """Make a server write many lines into its log."""
    transport = httpx.AsyncHTTPTransport(uds=path, verify=False)
    async with httpx.AsyncClient(transport=transport, timeout=1) as http:
        while True:
            await http.get("http://localhost/healthz?" + 4000 * "x")


# Several in one process


@contextlib.asynccontextmanager
async def streaming(served: Served) -> AsyncIterator[AsyncIterator[str]]:
    """Open a stream, and give its lines from its first data on."""
    async with client(served.http) as http:
        query = {"channels": "synthetic"}
        async with http.stream("GET", "/api/sse", params=query) as response:
            lines = response.aiter_lines()
            await event(lines, "subscribed")
            yield lines


async def event(lines: AsyncIterator[str], kind: str) -> None:
    """Read as far as the next event of a kind."""
    async with asyncio.timeout(5):
        while await anext(lines) != f"event: {kind}":
            pass


async def gone(served: Served) -> None:
    """Wait until a server has closed a connection of ours; its listener it closes before that."""
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    async with asyncio.timeout(PATIENCE_S):
        assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()
    with pytest.raises(httpx.ConnectError):
        await get_status(served.http, "/healthz")


def hub() -> Broadcaster:
    return driven_hub([SyntheticSource()], Settings())


async def test_two_servers_side_by_side_do_not_disturb_each_other() -> None:
    """One goes, and the other's clients do not notice."""
    settings = Settings(drain=0.1)
    other = driven_hub([SyntheticSource()], settings)
    async with (
        serving(hub(), settings) as going,
        serving(other, settings) as staying,
        streaming(going) as ending,
        streaming(staying) as living,
    ):
        assert going.server is not None
        going.server.handle_exit(signal.SIGTERM, None)
        await event(ending, "reconnect")
        await gone(going)
        # Longer than sse-starlette takes to look for a server that goes.
        await asyncio.sleep(0.6)
        other.tick(1)

        await event(living, "synthetic")
        assert await get_status(staying.http, "/healthz") == 200
    assert AppStatus.should_exit is False


async def test_a_server_after_another_one_serves_as_the_first() -> None:
    """Nothing global remembers that one has gone."""
    for _ in range(2):
        driven = driven_hub([SyntheticSource()], Settings())
        async with serving(driven, Settings(drain=0)) as served, streaming(served) as lines:
            driven.tick(1)
            await event(lines, "synthetic")
            assert served.server is not None
            served.server.handle_exit(signal.SIGINT, None)
            await event(lines, "reconnect")


async def test_a_server_that_is_just_stopped_cuts_its_clients(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Soon, and not as if the application had crashed."""
    async with serving(hub()) as served, streaming(served) as lines:
        assert served.server is not None
        begin = time.monotonic()
        served.server.should_exit = True

        with pytest.raises(httpx.RemoteProtocolError):
            await event(lines, "reconnect")

    assert CUT_S <= time.monotonic() - begin < 2 * CUT_S + 0.5
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_a_signal_after_the_end_changes_nothing() -> None:
    """The event loop that it would be handed to may be closed by then."""
    async with serving(hub()) as served:
        pass
    assert served.server is not None
    served.server.handle_exit(signal.SIGTERM, None)
    await asyncio.sleep(0)

    assert served.server._drain is None


async def test_evicted_readers_are_among_the_figures() -> None:
    """It is the server that finds them out, and the hub that tells."""
    counting = hub()
    async with serving(counting) as served:
        assert served.server is not None
        served.server._watch.evicted = 3
        async with asyncio.timeout(PATIENCE_S):
            while counting.figures().evictions != 3:  # noqa: ASYNC110 - nobody announces it
                await asyncio.sleep(0.01)


async def test_a_drain_that_fails_is_logged_and_the_server_ends(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mistake of ours must not make it immortal."""
    broken = hub()
    async with serving(broken) as served:
        assert served.server is not None
        broken.sessions.add(object())  # type: ignore[arg-type]
        served.server.handle_exit(signal.SIGTERM, None)

        await gone(served)

    assert "the drain failed" in caplog.text
