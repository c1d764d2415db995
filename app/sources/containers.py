"""The ``containers`` channel's source: what the container engine of this host runs."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from anyio.from_thread import BlockingPortal, start_blocking_portal
from attrs import define, evolve, field, frozen

from app.core.source import SourceUnavailableError, Window
from app.sources.counters import Lives, grown, rate
from app.sources.engines.container import Counters, Usage
from app.sources.engines.engine import Engine, EngineError, Host, sockets
from app.sources.engines.watch import Known, Watch
from app.sources.groups.cpu import percent
from schema.containers import (
    Container,
    ContainerCpu,
    ContainerIo,
    ContainerMemory,
    ContainerNetwork,
    ContainersMessage,
    HeritageContainer,
)
from schema.fields import Detail
from schema.messages import DataMessage

SHORT_ID = 12
MICROSECONDS = 1_000_000


@frozen(eq=False)
class ContainersSample:
    """One look at an engine's containers, by identity; ``taken`` is in monotonic seconds."""

    host: Host
    containers: Mapping[str, Known]
    taken: float


@define(eq=False)
class ContainersSource:
    """Asks the engine at ``socket``, or at the first usual place where one answers.

    ``environ`` and ``clock``, which gives monotonic seconds, are the process's own.

    Between two samples it listens to the engine, on an event loop in a thread of its own; ``rest``
    ends that. One call at a time.
    """

    channel: ClassVar[str] = ContainersMessage.TAG
    message: ClassVar[type[DataMessage]] = ContainersMessage
    details: ClassVar[tuple[Detail, ...]] = (Detail.SIMPLE, Detail.STANDARD, Detail.FULL)
    always: ClassVar[bool] = False

    socket: Path | None = None
    environ: Mapping[str, str] = field(default=os.environ, repr=False)
    clock: Callable[[], float] = time.monotonic
    _lives: Lives[Counters] = field(init=False, factory=Lives)
    _held: contextlib.ExitStack = field(init=False, factory=contextlib.ExitStack)
    _opened: tuple[Watch, BlockingPortal] | None = field(init=False, default=None)

    def sample(self) -> ContainersSample:
        """Look at the containers once.

        Raises:
            SourceUnavailableError: there is no engine, or none that lets itself be asked.
        """
        try:
            watch, portal = self._open()
            known = portal.call(watch.look)
        except EngineError as error:
            where = f"{self._opened[0].engine.path}: " if self._opened else ""
            self.rest()
            raise SourceUnavailableError(f"{where}{error}") from error
        return ContainersSample(watch.host, known, self.clock())

    def _open(self) -> tuple[Watch, BlockingPortal]:
        if self._opened is None:
            portal = self._held.enter_context(start_blocking_portal(name="pulsewire-engine"))
            watch = portal.call(self._find)
            self._held.enter_context(portal.wrap_async_context_manager(watch))
            self._opened = watch, portal
        return self._opened

    def rest(self) -> None:
        """Close all connections to the engine; the next sample looks for one again."""
        self._opened = None
        self._held.close()

    async def _find(self) -> Watch:
        failures: dict[str, list[Path]] = {}
        for path in sockets(self.socket, self.environ):
            engine = Engine(path)
            try:
                return Watch(engine, await engine.host(), self._lives, self.clock)
            except EngineError as error:
                await engine.aclose()
                failures.setdefault(str(error), []).append(path)
        reasons = (f"{', '.join(map(str, paths))}: {why}" for why, paths in failures.items())
        raise EngineError(f"no container engine; {'; '.join(reasons)}")

    def render(self, window: Window, detail: Detail) -> list[Container] | list[HeritageContainer]:
        """Make the payload for the window's last sample, with rates over all of it.

        A container that is younger than the window has them over its own time, and one that was
        not measured anew within it those of its last two measurements.
        """
        last: ContainersSample = window.last
        if detail is Detail.SIMPLE:
            return [HeritageContainer(**_heritage(known)) for known in last.containers.values()]
        return [
            _container(known, _begin(window, identity, known), last)
            for identity, known in last.containers.items()
        ]


def _begin(window: Window, identity: str, known: Known) -> Counters | None:
    """Give the oldest counters within the window that the newest ones have grown out of."""
    if known.counted is None:
        return None
    looks = (sample.containers.get(identity) for sample in window.samples)
    lived = (grown(then.counted, known.counted) for then in looks if then)
    begin, end = next(filter(None, lived))
    return begin if begin.read < end.read else known.earlier


def _heritage(known: Known) -> dict[str, Any]:
    listed = known.listed
    return {
        "id": listed.identity[:SHORT_ID],
        "name": listed.name,
        "image": listed.image,
        "state": listed.state,
        "status": listed.status,
        "ports": list(listed.ports),
        "created": listed.created,
    }


def _container(known: Known, begin: Counters | None, sample: ContainersSample) -> Container:
    usage, facts, listed = known.usage, known.facts, known.listed
    health = listed.health or (facts.health if facts else None)
    container = Container(
        **_heritage(known),
        engine=sample.host.kind,
        health=health if listed.live else None,
        cpu=None,
        memory=None,
        network=None,
        io=None,
        pids=None,
        age_ms=None,
        error=known.error,
    )
    if usage is None:
        return container
    end = usage.counters
    return evolve(
        container,
        cpu=_cpu(known, begin, end, sample.host) if begin else None,
        memory=_memory(usage, sample.host),
        network=_network(known, begin, end),
        io=_io(begin, end),
        pids=usage.pids,
        age_ms=max(0, round((sample.taken - usage.taken) * 1000)),
    )


def _cpu(known: Known, begin: Counters, end: Counters, host: Host) -> ContainerCpu:
    limit = known.facts.limit_cores if known.facts else None
    used, wall = end.cpu - begin.cpu, (end.read - begin.read) * 1000
    return ContainerCpu(
        cores=round(used / wall, 4),
        usage=percent(used, wall * host.cores),
        docker_percent=round(100 * used / wall, 2),
        limit_cores=limit,
        limit_usage=percent(used, round(wall * limit)) if limit else None,
        throttled_percent=_throttled(begin, end),
    )


def _throttled(begin: Counters, end: Counters) -> float | None:
    """Give the share of held back periods; there are none to count where nothing is limited."""
    if not end.periods or end.throttled is None:
        return None
    # What is counted at the end of a life's part was so at its beginning.
    return percent(end.throttled - (begin.throttled or 0), end.periods - (begin.periods or 0))


def _memory(usage: Usage, host: Host) -> ContainerMemory:
    limit = usage.memory_limit
    if limit is not None and not 0 < limit < host.memory:
        limit = None
    used = None if usage.memory is None else usage.memory - usage.inactive
    return ContainerMemory(
        used=used,
        raw=usage.memory,
        limit=limit,
        usage=None if used is None else percent(used, limit or host.memory),
    )


def _network(known: Known, begin: Counters | None, end: Counters) -> ContainerNetwork | None:
    if end.received is None or (known.facts is not None and not known.facts.networked):
        return None
    return ContainerNetwork(
        rx_bytes_per_sec=_rate(begin, end, "received"), tx_bytes_per_sec=_rate(begin, end, "sent")
    )


def _io(begin: Counters | None, end: Counters) -> ContainerIo | None:
    if end.read_bytes is None and end.written is None:
        return None
    return ContainerIo(
        read_bytes_per_sec=_rate(begin, end, "read_bytes"),
        write_bytes_per_sec=_rate(begin, end, "written"),
    )


def _rate(begin: Counters | None, end: Counters, name: str) -> float | None:
    if begin is None:
        return None
    seconds = (end.read - begin.read) / MICROSECONDS
    return rate(getattr(begin, name), getattr(end, name), seconds)
