"""Our own server, with a source that is driven by hand.

``python -m benchmarks.servers.pulsewire PORT PATH [GC]``; the path is ``direct``, or ``ordinary``
for uvicorn's own protocol classes. GC is an arrangement of garbage collection to try out.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import time
from typing import Any, ClassVar

from attrs import define, field, frozen

import app.server
from app.core.broadcaster import Broadcaster
from app.core.log import Reading
from app.core.source import Window
from app.factory import create_hub
from app.settings import Settings
from benchmarks.payload import CHANNEL, SIZE
from benchmarks.servers.control import announce, obey
from schema.fields import Detail
from schema.messages import DataMessage


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


class Collections:
    """What garbage collection has cost since the last report."""

    def __init__(self) -> None:
        self.reset()
        gc.callbacks.append(self._note)

    def reset(self) -> None:
        """Begin anew."""
        self.longest_ms = [0.0, 0.0, 0.0]
        self.total_ms = 0.0

    def _note(self, phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            self._start = time.perf_counter()
        else:
            took = (time.perf_counter() - self._start) * 1000
            generation = info["generation"]
            self.longest_ms[generation] = max(self.longest_ms[generation], took)
            self.total_ms += took


@define(eq=False)
class Arrangement:
    """An arrangement of garbage collection: ``shipped``, ``raised`` or ``freeze``."""

    name: str
    collections: Collections = field(factory=Collections)

    def start(self) -> None:
        """Set what is set from the start."""
        if self.name == "raised":
            gc.set_threshold(100_000, 50, 1000)

    def command(self, name: str) -> Any:  # noqa: ANN401 - JSON
        """Do what connections that have settled ask for; tell what collection has cost so far."""
        if name == "settle" and self.name == "freeze":
            gc.collect()
            gc.freeze()
        if name == "collect":
            gc.collect()
        cost = self.collections
        answer = {
            "longest_ms": cost.longest_ms,
            "total_ms": cost.total_ms,
            "objects": len(gc.get_objects()) if name == "count" else None,
            "frozen": gc.get_freeze_count(),
        }
        cost.reset()
        return answer


class DrivenHub(Broadcaster):
    """A hub that publishes when it is told to."""

    port = 0
    arrangement: Arrangement | None = None

    async def start(self) -> None:
        """Start the heartbeats, and to obey; no sampler runs."""
        loop = asyncio.get_running_loop()
        self._beating = loop.create_task(self._beat())
        if self.arrangement is not None:
            self.arrangement.start()
        await self.tick(time.monotonic_ns())
        self._obeying = loop.create_task(
            obey(self.tick, self.arrangement and self.arrangement.command)
        )
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
    bare = hub.newest(CHANNEL)
    assert bare is not None
    # The cursor will have a digit more.
    source.padding = SIZE - len(bare.text) - 1
    return DrivenHub([source], hub.settings)


def main() -> None:
    """Run the server until its input ends."""
    port, path, *arrangement = sys.argv[1:]
    settings = Settings(port=int(port))
    hub = driven(settings)
    hub.port = settings.port
    if arrangement:
        hub.arrangement = Arrangement(arrangement[0])
    if path == "ordinary":
        app.server.protocols = lambda _watch: ("websockets-sansio", "httptools")  # type: ignore
    app.server.serve(settings, hub)


if __name__ == "__main__":
    main()
