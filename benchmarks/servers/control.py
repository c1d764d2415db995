"""How a server is told to publish, and how it measures its own event loop.

A server answers first with its port and the processes that it consists of. ``go HZ SECONDS`` makes
it publish; it then answers with how many it published and its event loop's longest pause.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable, Iterator

Publish = Callable[[int], Awaitable[None]]
"""Publishes one message; the argument is the present moment, in ns of the monotonic clock."""
Command = Callable[[str], object]

WATCH_S = 0.01


class PauseWatch:
    """Finds the longest time for which an event loop did not turn, to 10 ms."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.longest_s = 0.0
        self._arm()

    def _arm(self) -> None:
        self._due = self._loop.time() + WATCH_S
        self._handle = self._loop.call_at(self._due, self._look)

    def _look(self) -> None:
        self.longest_s = max(self.longest_s, self._loop.time() - self._due)
        self._arm()

    def stop(self) -> float:
        """Return the longest pause in seconds."""
        self._handle.cancel()
        return self.longest_s


def moments(hz: float, seconds: float) -> Iterator[float]:
    """Yield when to publish, by the monotonic clock; leave out what is late by a whole period."""
    start = time.monotonic() + 0.1
    for number in range(round(hz * seconds)):
        due = start + number / hz
        if time.monotonic() < due + 1 / hz:
            yield due


def announce(port: int, *pids: int) -> None:
    """Answer that the server runs."""
    say({"port": port, "pids": pids or [os.getpid()]})


def say(answer: object) -> None:
    """Answer the one who drives this server."""
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


async def obey(publish: Publish, other: Command | None = None) -> None:
    """Do as the standard input says until it ends; ``other`` answers what is not ``go``."""
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(lines), sys.stdin
    )
    async for line in lines:
        name, *arguments = line.decode().split()
        if name == "go":
            say(await _go(publish, *map(float, arguments)))
        elif other is not None:
            say(other(name))
    # Nobody is left to answer to; a graceful end would take its time.
    os._exit(0)


async def _go(publish: Publish, hz: float, seconds: float) -> dict[str, float]:
    watch, ticks = PauseWatch(), 0
    for due in moments(hz, seconds):
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        await publish(time.monotonic_ns())
        ticks += 1
    await asyncio.sleep(WATCH_S * 2)
    return {"ticks": ticks, "pause_ms": watch.stop() * 1000}
