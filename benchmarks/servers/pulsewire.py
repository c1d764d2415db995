"""Our own server, with a source that is driven by hand.

``python -m benchmarks.servers.pulsewire PORT PATH [GC]``; the path is ``direct``, or ``ordinary``
for uvicorn's own protocol classes. GC is one of ``benchmarks.servers.collection.ARRANGEMENTS``.
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import ClassVar

from attrs import define, frozen

import app.server
from app.core.broadcaster import Broadcaster
from app.core.log import Reading
from app.core.source import Window
from app.factory import create_hub
from app.settings import Settings
from benchmarks.payload import CHANNEL, SIZE
from benchmarks.servers.collection import Collector
from benchmarks.servers.control import announce, obey
from schema.fields import Detail
from schema.messages import DataMessage, Subscribe


@frozen
class Stamp:
    """When the message was published, in ns of the monotonic clock, and padding."""

    sent: int
    padding: str


@frozen
class BenchMessage(DataMessage):
    """The message that is measured."""

    TAG: ClassVar[str] = CHANNEL
    data: Stamp


@define
class BenchSource:
    """Says what it is given."""

    channel: str = CHANNEL
    message: type[DataMessage] = BenchMessage
    details: tuple[Detail, ...] = (Detail.STANDARD,)
    always: bool = True
    padding: int = 0

    def sample(self) -> int:
        """Tell the time; never asked, since the hub is driven."""
        return time.monotonic_ns()

    def render(self, window: Window, _detail: Detail) -> Stamp:
        """Tell the moment of publication."""
        return Stamp(window.last, "x" * self.padding)


class DrivenHub(Broadcaster):
    """A hub that publishes when it is told to."""

    port = 0
    arrangement = ""

    async def start(self) -> None:
        """Start the heartbeats, and to obey; no sampler runs."""
        loop = asyncio.get_running_loop()
        self._beating = loop.create_task(self._beat())
        await self.tick(time.monotonic_ns())
        collector = Collector(self.arrangement) if self.arrangement else None
        self._obeying = loop.create_task(obey(self.tick, collector.command if collector else None))
        announce(self.port)

    async def tick(self, sent_ns: int) -> None:
        """Publish one message."""
        host, number = self.settings.host, self.log.head
        reading = Reading(float(number), self.timestamp(), sent_ns)
        base = None if number else Reading(-1.0, reading.timestamp - 1000, sent_ns)
        self.publish([self.log.append(CHANNEL, host, number, reading, base=base)])


def driven(settings: Settings) -> DrivenHub:
    """Make the hub, its messages padded to the size that all servers send."""
    source = BenchSource()
    hub = DrivenHub([source], create_hub(settings, [source]).settings)
    asyncio.run(hub.tick(time.monotonic_ns()))
    bare = hub.newest(Subscribe(CHANNEL))
    # The cursor will have a digit more.
    source.padding = SIZE - len(bare.text if bare else b"") - 1
    return DrivenHub([source], hub.settings)


def main() -> None:
    """Run the server until its input ends."""
    port, path, *arrangement = sys.argv[1:]
    settings = Settings(port=int(port))
    hub = driven(settings)
    hub.port = settings.port
    hub.arrangement = "".join(arrangement)
    if path == "ordinary":
        app.server.protocols = lambda _watch: ("websockets-sansio", "httptools")  # type: ignore[assignment, attr-defined, return-value]
    app.server.serve(settings, hub)


if __name__ == "__main__":
    main()
