"""The ``metrics`` channel: one host's figures.

Percentages are 0 to 100, sizes bytes, durations seconds. None of the heritage keys is ever null:
where one cannot be read the last value stands.
"""

from __future__ import annotations

from typing import ClassVar

from attrs import frozen

from schema.messages import DataMessage


@frozen
class Cpu:
    """Processors of the host.

    ``usage`` is the busy share of all of them over the window (steal counts as busy, iowait does
    not); ``load_avg`` are the system's means over 1, 5 and 15 minutes (``getloadavg``).
    """

    usage: float
    cores: int
    load_avg: list[float]


@frozen
class Memory:
    """Main memory; ``free`` means available, so ``used + free == total``.

    Source: ``MemAvailable`` of ``/proc/meminfo`` through ``psutil.virtual_memory``.
    """

    total: int
    used: int
    free: int
    usage: float


@frozen
class Disk:
    """The file system that holds ``path``; ``usage`` is ``used / (used + free)``, as ``df`` has it.

    ``free`` is what an unprivileged user may still write (``f_bavail``), so blocks reserved for
    root are in neither ``used`` nor ``free``.
    """

    total: int
    used: int
    free: int
    usage: float
    path: str


@frozen
class Simple:
    """The oldest heritage shape: percent, percent, percent, seconds."""

    cpu: float
    memory: float
    disk: float
    uptime: float


@frozen
class Standard:
    """The heritage shape, exactly these keys; ``uptime`` is seconds since boot."""

    cpu: Cpu
    memory: Memory
    disk: Disk
    uptime: float
    hostname: str


@frozen
class MetricsMessage(DataMessage):
    """A message of the ``metrics`` channel."""

    TAG: ClassVar[str] = "metrics"
    data: Simple | Standard
