"""`pulsewire watch` as somebody at a terminal meets it, and as a script does."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import shlex
import signal
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Callable

import pytest
from attrs import frozen
from rich.console import Console

from app.cli import main
from app.client import Client, Want, client
from app.core.broadcaster import Broadcaster
from app.factory import create_hub, default_sources
from app.settings import Settings
from app.sources.host import HostSource
from app.watch.command import TRANSPORTS
from app.watch.terminal import Screen
from app.watch.watching import Watch, metrics
from schema.fields import Detail
from tests import process
from tests.fence import POLL, SSE, WEBSOCKET, fence
from tests.serving import serving

COLOUR = re.compile(r"\x1b\[[0-9;]*3[1-6]m")
WATCH = (sys.executable, "-m", "app", "watch")


def environment(**more: str) -> dict[str, str]:
    """Return what the program is given: no colours are asked for, nor forbidden."""
    ours = {key: text for key, text in process.environment().items() if key != "NO_COLOR"}
    return ours | {"no_proxy": "127.0.0.1", "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"} | more


@contextlib.asynccontextmanager
async def watching(*arguments: str, **more: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run it with a pipe for its output."""
    child = await asyncio.create_subprocess_exec(
        *WATCH,
        *arguments,
        env=environment(**more),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(process.PATIENCE_S):
            yield child
    finally:
        with contextlib.suppress(ProcessLookupError):
            child.send_signal(signal.SIGINT)
        await child.communicate()


@pytest.fixture(scope="module")
async def url() -> AsyncIterator[str]:
    async with process.running("--drain", "0") as server:
        yield await server.url()


# As JSON


async def test_a_script_gets_the_messages_as_they_came(url: str) -> None:
    """One a line; when nobody reads any more it ends, and well."""
    async with watching(url, "--json", "--interval", "1000") as child:
        assert child.stdout is not None
        kinds = [json.loads(await child.stdout.readline())["type"] for _ in range(4)]
        assert (kinds[0], kinds[-1]) == ("connected", "metrics")
        child._transport.get_pipe_transport(1).close()  # type: ignore[attr-defined]
        assert await child.wait() == 0
        assert child.stderr is not None
        assert await child.stderr.read() == b""


@pytest.mark.external("head")
async def test_a_pipe_may_be_closed_at_any_time(url: str) -> None:
    """As `head` does; for the pictures that are printed without a terminal too."""
    for more in ("--json", ""):
        command = f"{shlex.join(WATCH)} {url} {more} | head -n 3; echo ${{PIPESTATUS[@]}}"
        done = await asyncio.create_subprocess_exec(
            *["bash", "-c", command],
            env=environment(),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        async with asyncio.timeout(process.PATIENCE_S):
            out, _ = await done.communicate()
        *_, last = out.decode().splitlines()
        assert last == "0 0", out


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 0), (signal.SIGTERM, -15)])
async def test_a_signal_ends_it(url: str, number: signal.Signals, status: int) -> None:
    """Ctrl-C well."""
    async with watching(url, "--json") as child:
        assert child.stdout is not None
        await child.stdout.readline()
        child.send_signal(number)
        assert await child.wait() == status
        assert child.stderr is not None
        assert await child.stderr.read() == b""


async def test_a_server_that_is_not_there_is_waited_for() -> None:
    """And told of, on standard error."""
    async with watching("127.0.0.1:9", "--json") as child:
        assert child.stderr is not None
        line = (await child.stderr.readline()).decode()
        assert line == "pulsewire: connecting: Connection refused\n"
        assert child.returncode is None


async def test_a_refusal_is_one_line_and_status_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Something else is at that address."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    async with serving() as served:
        fence(served).refused = {WEBSOCKET: 404, SSE: 404, POLL: 404}
        assert await asyncio.to_thread(main, ["watch", served.http, "--json"]) == 1
    assert capsys.readouterr() == ("", "pulsewire: unexpected answer (HTTP 404)\n")


# Without a terminal


async def test_without_a_terminal_it_prints_pictures(url: str) -> None:
    """Without any colours, and in ASCII where it must be."""
    async with watching(url, COLUMNS="100", PYTHONIOENCODING="ascii", LC_ALL="C") as child:
        assert child.stdout is not None
        lines = [(await child.stdout.readline()).decode() for _ in range(5)]
    assert "websocket" in lines[0]
    assert lines[1].startswith("CPU       ")
    assert all(line.isascii() and "\x1b" not in line for line in lines)


# Mistakes


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["ftp://vm"], "'ftp://vm' must begin with one of http, https, ws, wss"),
        (["--transport", "pigeon"], "Invalid value for '--transport'"),
        (["--interval", "5"], "Invalid value for '--interval': 5 is not in the range"),
        (["vm", "vm"], "Got unexpected extra argument (vm)"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything is connected."""
    assert main(["watch", *arguments]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"pulsewire: {told}")
    assert err.count("\n") == 1


def test_the_transports_are_those_of_the_client() -> None:
    """They are named twice, since the command line knows no client."""
    assert TRANSPORTS == client.TRANSPORTS


# What is asked for


async def asked(hub: Broadcaster, transport: str) -> dict[str, Want]:
    """Watch a server until its host has been seen twice, and tell what was asked for."""
    async with serving(hub) as served:
        client = Client(served.http, {"metrics": metrics(1000)}, transport=transport, proxy=False)
        watch = Watch(client, served.http, 1000)
        async with client, asyncio.timeout(10):
            async for message in client:
                watch.take(message)
                if len(watch.picture.cpu) >= 2:
                    break
            return dict(client.wanted)
    raise AssertionError("it ended")


@pytest.mark.parametrize("transport", TRANSPORTS[1:])
async def test_what_the_server_has_is_asked_for(transport: str) -> None:
    """The metrics in full, and the other channels."""
    settings = Settings()
    wanted = await asked(create_hub(settings, default_sources(settings)), transport)
    assert set(wanted) == {"metrics", "containers", "processes"}
    assert wanted["metrics"].detail is Detail.FULL


@pytest.mark.parametrize("transport", ["websocket", "sse"])
async def test_what_the_server_has_not_is_not_asked_for(transport: str) -> None:
    """It says what it has; a poller has to ask."""
    wanted = await asked(create_hub(Settings(), [HostSource()]), transport)
    assert set(wanted) == {"metrics"}


# In a terminal


@pytest.mark.parametrize(("pressed", "over"), [(b"x\x1a", False), (b"xq", True), (b"", True)])
def test_q_ends_it_and_so_does_a_terminal_that_is_gone(pressed: bytes, over: bool) -> None:  # noqa: FBT001 - of a row
    """No other key."""
    screen = Screen(Console())
    screen._pressed(pressed)
    assert screen._over is over


@frozen
class Terminal:
    """A terminal that nobody sees, with a shell in it."""

    name: str

    def tmux(self, *arguments: str) -> str:
        """Run a command of its server."""
        command = ["tmux", "-L", self.name, "-f", "/dev/null", *arguments]
        return subprocess.run(
            command, check=True, capture_output=True, text=True, env=environment(), timeout=10
        ).stdout

    def type(self, *keys: str) -> None:
        """Press keys."""
        self.tmux("send-keys", *keys)

    def seen(self) -> str:
        """Return what is on it."""
        return self.tmux("capture-pane", "-p")

    async def until(self, condition: Callable[[str], object]) -> str:
        """Wait until something is to be seen."""
        async with asyncio.timeout(process.PATIENCE_S):
            while not condition(seen := await asyncio.to_thread(self.seen)):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        return seen


@contextlib.asynccontextmanager
async def in_terminal(width: int = 80, height: int = 24) -> AsyncIterator[Terminal]:
    shown = Terminal(f"pulsewire-{uuid.uuid4().hex[:8]}")
    size = ("-x", str(width), "-y", str(height))
    shown.tmux("new-session", "-d", *size, "bash --noprofile --norc")
    try:
        shown.type("PS1='ready> '; clear", "Enter")
        await shown.until(lambda seen: seen.startswith("ready>"))
        yield shown
    finally:
        with contextlib.suppress(subprocess.CalledProcessError):
            shown.tmux("kill-server")


@pytest.mark.external("tmux")
@pytest.mark.parametrize("key", ["q", "C-c"])
async def test_a_terminal_is_given_back_as_it_was(url: str, key: str) -> None:
    """After it was resized, and has shown all."""
    async with in_terminal() as shown:
        shown.type("before=$(stty -g)", "Enter")
        shown.type(f"{shlex.join(WATCH)} {url}", "Enter")
        seen = await shown.until(lambda seen: "Memory" in seen and "websocket" in seen)
        assert len(seen.splitlines()) == 24
        assert "q quit" in seen.splitlines()[-1]
        assert "ready>" not in seen
        assert COLOUR.search(shown.tmux("capture-pane", "-p", "-e"))
        shown.tmux("resize-window", "-x", "50", "-y", "10")
        seen = await shown.until(lambda seen: "q quit" in "".join(seen.splitlines()[9:]))
        assert max(map(len, seen.splitlines())) <= 50
        shown.type("x", "C-z")
        shown.type(key)
        await shown.until(lambda seen: "q quit" not in seen)
        shown.type('echo status $?; test "$before" = "$(stty -g)" && echo $((6 * 7)) ', "Enter")
        seen = await shown.until(lambda seen: "42\n" in seen)
    assert "status 0\n" in seen
    assert f"app watch {url}" in seen.replace("\n", "")


@pytest.mark.external("tmux")
async def test_a_server_that_goes_is_told_of_and_found_again() -> None:
    """Without a restart of the view; a refusal ends it with one line."""
    async with in_terminal() as shown:
        async with process.running("--drain", "0") as server:
            url = await server.url()
            shown.type(f"NO_COLOR=1 {shlex.join(WATCH)} {url} --transport sse", "Enter")
            await shown.until(lambda seen: "Memory" in seen and "● sse" in seen)
            assert not COLOUR.search(shown.tmux("capture-pane", "-p", "-e"))
        await shown.until(lambda seen: "○ reconnecting" in seen and "Memory" in seen)
        port = url.rpartition(":")[2]
        async with process.running(program=("-m", "app", "--port", port)) as server:
            await server.url()
            await shown.until(lambda seen: "● sse" in seen)
            shown.type("q")
            await shown.until(lambda seen: "q quit" not in seen)
        async with serving() as served:
            fence(served).refused = {WEBSOCKET: 404, SSE: 404, POLL: 404}
            shown.type(f"clear; {shlex.join(WATCH)} {served.http}; echo status $?", "Enter")
            seen = await shown.until(lambda seen: "status 1" in seen)
    assert "pulsewire: unexpected answer (HTTP 404)\n" in seen


@pytest.mark.external("tmux")
async def test_without_keys_signals_end_it(url: str) -> None:
    """Where standard input is no terminal."""
    async with in_terminal() as shown:
        shown.type(f"{shlex.join(WATCH)} {url} < /dev/null; echo status $?", "Enter")
        await shown.until(lambda seen: "Memory" in seen)
        shown.type("C-c")
        await shown.until(lambda seen: "status 0" in seen)
