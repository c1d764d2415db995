"""The ``metrics`` channel: one host's figures.

Percentages are 0 to 100, sizes bytes, durations seconds. None of the heritage keys (``Simple``,
``Standard``) is ever null: where one cannot be read the last value stands. Each of the keys that
``Full`` adds may be null: then it is not known, or this system has no such thing.
"""

from __future__ import annotations

from typing import ClassVar

from attrs import frozen

from schema.devices import Battery, DiskIo, DiskVolume, Fan, NetworkInterface, Temperature
from schema.fields import (
    Bytes,
    Cores,
    Duration,
    Megahertz,
    Moment,
    Percent,
    PerSec,
    Seconds,
)
from schema.memory import FullMemory, Memory, Swap
from schema.messages import DataMessage
from schema.pressure import Pressure


@frozen
class Cpu:
    """Processors of the host.

    Attributes:
        usage: busy share of all processors together, mean over the window; steal is busy, iowait
            is not.
        cores: number of logical processors.
        load_avg: the system's mean numbers of runnable tasks over 1, 5 and 15 minutes
            (getloadavg).
    """

    usage: Percent
    cores: int
    load_avg: list[float]


@frozen
class Disk:
    """The file system that holds ``path``, as ``df`` reckons it.

    Attributes:
        total: its size.
        used: what is taken.
        free: what an unprivileged user may still write (f_bavail), so blocks reserved for root
            are in neither ``used`` nor ``free``.
        usage: ``used`` of ``used + free``.
        path: the server's setting disk_path.
    """

    total: Bytes
    used: Bytes
    free: Bytes
    usage: Percent
    path: str


@frozen
class Simple:
    """The oldest heritage shape: four numbers.

    Attributes:
        cpu: the same as cpu.usage of standard.
        memory: the same as memory.usage of standard.
        disk: the same as disk.usage of standard.
        uptime: since boot.
    """

    cpu: Percent
    memory: Percent
    disk: Percent
    uptime: Seconds


@frozen
class Standard:
    """The heritage shape, exactly these keys.

    Attributes:
        cpu: the processors.
        memory: main memory.
        disk: the file system that the server was told to measure.
        uptime: since boot, time in suspend included.
        hostname: the machine's name for itself.
    """

    cpu: Cpu
    memory: Memory
    disk: Disk
    uptime: Seconds
    hostname: str


@frozen(kw_only=True)
class FullCpu(Cpu):
    """Processors in full: where their time went, over the window, and what bounds them.

    The shares are of all processors together; ``user`` and ``nice`` hold the time of guests.

    Attributes:
        usage_max: the highest usage of a single tick within the window.
        user: time in programs of normal priority; null where the system does not count it.
        system: time in the kernel.
        nice: time in programs of low priority.
        iowait: time idle while a disk was waited for.
        irq: time in hardware interrupts.
        softirq: time in software interrupts.
        steal: time that the hypervisor gave to others.
        per_core: busy share of each logical processor, by its number; null for one that was
            offline within the window.
        physical_cores: number of cores without their threads; null if the system does not tell.
        frequency_MHz: mean of the processors' present clock frequencies; null in most virtual
            machines.
        context_switches_per_sec: switches from one task to another.
        interrupts_per_sec: hardware interrupts.
        limit_cores: processors' time that the control group of this process may use, as a number
            of cores (cpu.max, or cfs_quota_us); null if it is not limited.
        throttled_percent: share of the window's scheduling periods in which the control group was
            held back; null if it is not limited.
    """

    usage_max: Percent | None
    user: Percent | None
    system: Percent | None
    nice: Percent | None
    iowait: Percent | None
    irq: Percent | None
    softirq: Percent | None
    steal: Percent | None
    per_core: list[Percent | None]
    physical_cores: int | None
    frequency_MHz: Megahertz | None
    context_switches_per_sec: PerSec | None
    interrupts_per_sec: PerSec | None
    limit_cores: Cores | None
    throttled_percent: Percent | None


@frozen
class OwnCost:
    """What Pulsewire itself costs, and how it does.

    Attributes:
        cpu: time of this process, of one processor; may pass 100.
        rss_bytes: its resident memory.
        collect_ms: what the newest reading of this host took.
        clients: clients connected, on all transports.
        dropped: times that a slow reader was given the newest message instead of all, since the
            start.
        lag_ms: the longest pause of the event loop within the last minute.
    """

    cpu: Percent | None
    rss_bytes: Bytes | None
    collect_ms: Duration | None
    clients: int | None
    dropped: int | None
    lag_ms: Duration | None


@frozen
class GroupError:
    """A group of figures that cannot be read at present; the others are there all the same.

    Attributes:
        group: the key of ``data`` that it is about, such as swap or cpu.frequencyMHz.
        code: what happened, as the name of an error (EACCES, TIMEOUT, ValueError).
        since_ms: since when.
    """

    group: str
    code: str
    since_ms: Moment


@frozen(kw_only=True)
class Full(Standard):
    """All keys of standard, and what else there is to know.

    Arrays are sorted by what names their items.

    Attributes:
        cpu: the processors.
        memory: main memory.
        disk: the file system that the server was told to measure.
        uptime: since boot, time in suspend included.
        hostname: the machine's name for itself.
        swap: swap space; null if it cannot be read.
        disks: file systems, one item for each device, however often it is mounted.
        disk_io: whole disks, without their partitions and what is stacked on them (LVM, LUKS, MD).
        network: network interfaces.
        temperatures: sensors; empty if there are none.
        fans: fans; empty if there are none.
        battery: the first battery; null if there is none.
        pressure: what tasks waited for; null where the kernel does not count it.
        boot_time: when the machine was started.
        self_: the cost of Pulsewire itself.
        errors: groups that cannot be read at present; empty if all is well.
    """

    # Said again for the order of the keys.
    cpu: FullCpu
    memory: FullMemory
    disk: Disk
    uptime: Seconds
    hostname: str
    swap: Swap | None
    disks: list[DiskVolume]
    disk_io: list[DiskIo]
    network: list[NetworkInterface]
    temperatures: list[Temperature]
    fans: list[Fan]
    battery: Battery | None
    pressure: Pressure | None
    boot_time: Moment | None
    self_: OwnCost
    errors: list[GroupError]


@frozen
class MetricsMessage(DataMessage):
    """A message of the ``metrics`` channel."""

    TAG: ClassVar[str] = "metrics"
    data: Simple | Standard | Full
