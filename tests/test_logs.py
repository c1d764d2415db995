"""Logging: one plain line each, on standard error, of ours and of a real uvicorn."""

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from starlette.types import Receive, Scope, Send
from uvicorn import Config, Server
from websockets.asyncio.client import connect

from app.listen import bind
from app.logs import configure
from app.settings import Settings

NAMES = ("", "uvicorn", "uvicorn.access", "uvicorn.error")
LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} (DEBUG|INFO|WARNING|ERROR) +[\w.]+: .+")


@pytest.fixture(autouse=True)
def loggers() -> Iterator[None]:
    """Give the loggers back as they were."""
    all_of_them = [logging.getLogger(name) for name in NAMES]
    before = [(it, it.level, it.handlers[:], it.propagate) for it in all_of_them]
    yield
    for logger, level, handlers, propagate in before:
        logger.setLevel(level)
        logger.handlers[:] = handlers
        logger.propagate = propagate


async def answer(scope: Scope, receive: Receive, send: Send) -> None:
    """Accept any handshake, and answer any request."""
    await receive()
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        await receive()
    else:
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})


@asynccontextmanager
async def uvicorn_on_loopback(settings: Settings) -> AsyncIterator[int]:
    """Serve with uvicorn as the application does, and give the port."""
    config = Config(answer, log_config=None, lifespan="off", access_log=settings.access_log)
    server = Server(config)
    with bind(settings) as sock:
        serving = asyncio.ensure_future(server.serve([sock]))
        try:
            yield sock.getsockname()[1]
        finally:
            server.should_exit = True
            await serving


async def visit(settings: Settings) -> None:
    """Log our way, and let a WebSocket and a request come in."""
    configure(settings)
    async with uvicorn_on_loopback(settings) as port:
        async with connect(f"ws://127.0.0.1:{port}/socket"):
            pass
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /page HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        await reader.read()
        writer.close()
        await writer.wait_closed()


async def test_uvicorn_logs_in_our_format_and_once(capsys: pytest.CaptureFixture[str]) -> None:
    """Its start and its end, but no line for each connection."""
    await visit(Settings(port=0))

    lines = capsys.readouterr().err.splitlines()
    assert all(LINE.fullmatch(line) for line in lines)
    assert [line for line in lines if "uvicorn.error: Started server process" in line] == lines[:1]
    assert "Finished server process" in lines[-1]
    assert not [line for line in lines if "/socket" in line or "/page" in line]


async def test_with_the_access_log_each_connection_has_a_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """WebSocket or not."""
    await visit(Settings(port=0, access_log=True))

    lines = capsys.readouterr().err.splitlines()
    assert all(LINE.fullmatch(line) for line in lines)
    (socket,) = [line for line in lines if "/socket" in line]
    (page,) = [line for line in lines if "/page" in line]
    assert "uvicorn.error: 127.0.0.1:" in socket
    assert socket.endswith('"WebSocket /socket" [accepted]')
    assert "uvicorn.access: 127.0.0.1:" in page
    assert page.endswith('"GET /page HTTP/1.1" 204')


async def test_a_higher_level_silences_uvicorn_too(capsys: pytest.CaptureFixture[str]) -> None:
    """At warning there is nothing to tell."""
    await visit(Settings(port=0, log_level="warning", access_log=True))

    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("level", "seen"),
    [("debug", "dwe"), ("info", "we"), ("warning", "we"), ("error", "e")],
)
def test_lines_below_the_level_are_not_logged(
    level: str, seen: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Those of our own modules."""
    configure(Settings(log_level=level))  # type: ignore[arg-type]
    logger = logging.getLogger("app.sampler")
    logger.debug("d")
    logger.warning("w")
    logger.error("e")

    lines = capsys.readouterr().err.splitlines()
    assert "".join(line[-1] for line in lines) == seen
    assert all(LINE.fullmatch(line) for line in lines)


def test_configuring_again_replaces_what_was_set_up(capsys: pytest.CaptureFixture[str]) -> None:
    """One handler, whatever uvicorn or an earlier call had set up."""
    Config(answer)  # sets up uvicorn's own logging
    configure(Settings())
    configure(Settings(access_log=True))
    logging.getLogger("uvicorn.error").info("once")
    logging.getLogger("uvicorn.access").info("once")

    assert len(capsys.readouterr().err.splitlines()) == 2


def test_a_message_that_is_no_text_passes() -> None:
    """The filter looks into messages, which may be any object."""
    configure(Settings())

    logging.getLogger("uvicorn.error").info(("any", "object"))


def test_uvicorn_does_not_trace() -> None:
    """It takes a logger without a level of its own for one that wants everything."""
    configure(Settings())

    assert logging.getLogger("uvicorn.error").level == logging.INFO
