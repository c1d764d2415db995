"""The whole server while file systems do not answer: it goes on, and ends in time."""

from __future__ import annotations

import itertools
import json
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from tests.fuse import BLOCK, STATFS, fuse_mount
from tests.process import running

Body = dict[str, Any]
SUBSCRIBE = {"type": "subscribe", "channel": "metrics", "interval": 1000, "detail": "full"}
TICK_MS = 1000
# How far from its time a tick may be; on a quiet machine it is a few milliseconds.
JITTER_MS = 400
# Beyond the drain, which is 0 here.
END_S = 2.0


async def test_the_server_ticks_on_and_ends_while_its_file_systems_hang(tmp_path: Path) -> None:
    """Both the one that it was told to measure and another that it lists."""
    with fuse_mount(tmp_path / "measured") as measured, fuse_mount(tmp_path / "listed") as listed:
        listed.hang()
        flags = ("--disk-path", str(measured.path), "--remote-disks", "--drain", "0")
        async with running(*flags) as server:
            url = (await server.url()).replace("http", "ws") + "/api/ws"
            async with connect(url, subprotocols=[Subprotocol("pulsewire.v1")]) as client:
                await client.send(json.dumps(SUBSCRIBE))
                messages = data(client)
                good = await until(messages, lambda found: disk(found, measured.path)["total"])
                assert good[-1]["disk"]["total"] == BLOCK * STATFS[0]
                measured.hang()
                told = await until(
                    messages,
                    lambda found: (
                        disk(found, listed.path)["status"] == "timeout" and found["errors"]
                    ),
                )
            assert_steady([*good, *told])
            last = told[-1]
            assert last["disk"] == good[-1]["disk"]
            assert [(error["group"], error["code"]) for error in last["errors"]] == [
                ("disk", "TIMEOUT")
            ]
            assert disk(last, listed.path)["total"] is None
            assert disk(last, measured.path)["total"] == BLOCK * STATFS[0]
            assert (listed.questions, len(helpers(server.pid))) == (1, 1)
            server.send(signal.SIGTERM)
            status, seconds = await server.ended()
            assert (status, seconds < END_S) == (0, True)


async def data(client: ClientConnection) -> AsyncIterator[Body]:
    """Give the data of each message about metrics, with its time in it."""
    async for text in client:
        message = json.loads(text)
        if message["type"] == "metrics":
            yield message["data"] | {"timestamp": message["timestamp"]}


async def until(messages: AsyncIterator[Body], enough: Callable[[Body], object]) -> list[Body]:
    """Take messages up to the first that is enough."""
    taken = []
    async for found in messages:
        taken.append(found)
        if enough(found):
            break
    return taken


def disk(found: Body, path: Path) -> Body:
    """Give the file system that is mounted at a path."""
    (volume,) = (volume for volume in found["disks"] if volume["mounts"] == [str(path)])
    return dict(volume)


def assert_steady(messages: list[Body]) -> None:
    """Tell whether they came tick by tick."""
    times = [message["timestamp"] for message in messages]
    for earlier, later in itertools.pairwise(times):
        assert abs(later - earlier - TICK_MS) < JITTER_MS


def helpers(pid: int) -> list[str]:
    """Give the processes that a process has started."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return [child for thread in threads for child in (thread / "children").read_text().split()]
