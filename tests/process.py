"""The server as a process of its own, watched through its log."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import httpx
from attrs import define, field

ROOT = Path(__file__).resolve().parent.parent
PATIENCE_S = 20
# What must not be in the log of a server that did nothing wrong.
FAULTS = re.compile(r"Traceback|Exception|Error\b| (?:WARNING|ERROR|CRITICAL) ")


@define(eq=False)
class Process:
    """A server that was started; ``lines`` is what it has logged so far."""

    _child: asyncio.subprocess.Process
    lines: list[str] = field(factory=list)
    _news: asyncio.Event = field(factory=asyncio.Event)
    _signalled: float | None = None

    async def line(self, text: str) -> str:
        """Return the first line that has this text in it, as soon as there is one."""
        async with asyncio.timeout(PATIENCE_S):
            while not (found := [line for line in self.lines if text in line]):
                self._news.clear()
                await self._news.wait()
        return found[0]

    async def url(self) -> str:
        """Return its address, as soon as it listens there."""
        return (await self.line("Pulsewire is at ")).rpartition(" ")[2].rstrip("/")

    def send(self, number: signal.Signals) -> None:
        """Send it a signal; `ended` counts from the last one."""
        self._signalled = time.monotonic()
        self._child.send_signal(number)

    async def ended(self) -> tuple[int, float]:
        """Wait for its end: the status, and the seconds since the last signal."""
        async with asyncio.timeout(PATIENCE_S):
            status = await self._child.wait()
        assert self._signalled is not None
        return status, time.monotonic() - self._signalled

    @property
    def faults(self) -> list[str]:
        """The lines of the log that tell of something wrong."""
        return [line for line in self.lines if FAULTS.search(line)]

    @property
    def pid(self) -> int:
        """Its number."""
        return self._child.pid

    async def _listen(self) -> None:
        assert self._child.stderr is not None
        async for line in self._child.stderr:
            self.lines.append(line.decode().rstrip("\n"))
            self._news.set()


def environment() -> dict[str, str]:
    """Return what a server's process is given: nothing of the settings of whoever tests."""
    inherited = {key: text for key, text in os.environ.items() if not key.startswith("PULSEWIRE_")}
    return inherited | {"PYTHONPATH": str(ROOT)}


def client(url: str) -> httpx.AsyncClient:
    """Make an HTTP client for as many requests at one time as a test likes."""
    limits = httpx.Limits(max_connections=None)
    # What is off: proxies and certificates, which take time to set up and are not needed here.
    return httpx.AsyncClient(
        base_url=url,
        limits=limits,
        timeout=PATIENCE_S,
        trust_env=False,
        verify=False,  # noqa: S501
    )


@contextlib.asynccontextmanager
async def running(
    *flags: str, program: Sequence[str] = ("-m", "app", "--port", "0")
) -> AsyncIterator[Process]:
    """Run a server in a directory of its own; kill it if it did not end."""
    with tempfile.TemporaryDirectory() as cwd:
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            *program,
            *flags,
            cwd=cwd,
            env=environment(),
            stderr=asyncio.subprocess.PIPE,
        )
        process = Process(child)
        listening = asyncio.ensure_future(process._listen())
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
            await listening
            await child.wait()
