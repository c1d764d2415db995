"""The ``containers`` channel: what the container engine of a host runs."""

from __future__ import annotations

from typing import ClassVar

from attrs import frozen

from schema.fields import Age, Bytes, BytesPerSec, Cores, Percent
from schema.messages import DataMessage


@frozen
class ContainerCpu:
    """Processor time of a container, over the window.

    A container that is younger than the window has it over its own time, and one that was not
    measured anew within the window that of its last two measurements; so have all its rates.

    Attributes:
        cores: time used, as a number of processors.
        usage: the same, of all processors of the host; comparable to cpu.usage of metrics.
        docker_percent: the same, of one processor; what ``docker stats`` shows, may pass 100.
        limit_cores: what it may use at most, by its quota; null if it has none.
        limit_usage: ``cores`` of ``limit_cores``; null if it is not limited.
        throttled_percent: share of its quota's periods in which it was held back; null without
            a quota, and of Podman, which does not count them.
    """

    cores: Cores | None
    usage: Percent | None
    docker_percent: Percent | None
    limit_cores: Cores | None
    limit_usage: Percent | None
    throttled_percent: Percent | None


@frozen
class ContainerMemory:
    """Memory of a container.

    Attributes:
        used: what it uses, less inactive file cache, as ``docker stats`` has it; of Podman, which
            does not tell its cache, the same as ``raw``.
        raw: what it uses, as the engine counts it.
        limit: what it may use at most; null if it is not limited below the host's memory.
        usage: ``used`` of ``limit``, or of the host's memory without one.
    """

    used: Bytes | None
    raw: Bytes | None
    limit: Bytes | None
    usage: Percent | None


@frozen
class ContainerNetwork:
    """Traffic of a container, all its networks together.

    Attributes:
        rx_bytes_per_sec: received; null until it has been measured twice.
        tx_bytes_per_sec: sent; null until it has been measured twice.
    """

    rx_bytes_per_sec: BytesPerSec | None
    tx_bytes_per_sec: BytesPerSec | None


@frozen
class ContainerIo:
    """What a container reads from disks and writes to them.

    Attributes:
        read_bytes_per_sec: read; null until it has been measured twice.
        write_bytes_per_sec: written; null until it has been measured twice.
    """

    read_bytes_per_sec: BytesPerSec | None
    write_bytes_per_sec: BytesPerSec | None


@frozen(kw_only=True)
class HeritageContainer:
    """A container as existing dashboards know it, in the engine's own words.

    Attributes:
        id: the first 12 digits of its identity.
        name: its name, without a slash before it.
        image: what it was made from.
        state: one word, such as running or exited.
        status: for people, such as "Up 2 hours".
        ports: as ``docker ps`` shows them, such as "0.0.0.0:8080->80/tcp", one by one.
        created: when it was made, in seconds since the epoch.
    """

    id: str
    name: str
    image: str
    state: str
    status: str
    ports: list[str]
    created: int


@frozen(kw_only=True)
class Container(HeritageContainer):
    """A container and what it uses; all that is measured is null while it does not run.

    Attributes:
        engine: which engine runs it: docker or podman.
        health: what its health check says: healthy, unhealthy or starting; null without one.
        cpu: processor time; null until it has been measured twice since it was started.
        memory: memory.
        network: traffic; null where it has no network of its own, as with the host's.
        io: disks; null where the engine does not count it, or has not counted anything yet.
        pids: processes and threads in it.
        age_ms: time since it was measured; null before it was.
        error: why its newest measurement failed, and so the figures are those before; null if it
            did not.
    """

    engine: str
    health: str | None
    cpu: ContainerCpu | None
    memory: ContainerMemory | None
    network: ContainerNetwork | None
    io: ContainerIo | None
    pids: int | None
    age_ms: Age | None
    error: str | None


@frozen
class ContainersMessage(DataMessage):
    """A message of the ``containers`` channel.

    In detail ``simple`` the items have the heritage keys alone.
    """

    TAG: ClassVar[str] = "containers"
    data: list[Container] | list[HeritageContainer]
