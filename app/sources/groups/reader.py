"""Reads the machine, group by group: what has failed takes nothing with it."""

from __future__ import annotations

from collections.abc import Callable

from app.core.figures import Vitals
from app.sources.counters import Lives
from app.sources.devices.diskio import DiskMeter
from app.sources.devices.diskpath import DiskPath
from app.sources.devices.mounts import MountTable
from app.sources.devices.network import NetMeter
from app.sources.devices.prober import Prober
from app.sources.devices.sensors import Sensors
from app.sources.devices.volumes import Volumes
from app.sources.groups.cgroup import ControlGroups
from app.sources.groups.cores import CoreMeter
from app.sources.groups.cpu import CpuMeter
from app.sources.groups.kept import Cached, Groups
from app.sources.groups.limits import CpuLimitStat, MemoryLimitStat
from app.sources.groups.machine import Machine
from app.sources.groups.memory import MemoryStat
from app.sources.groups.own import OwnStat
from app.sources.groups.pressure import PressureStat
from app.sources.groups.procstat import Activity, ProcessorStat
from app.sources.groups.sample import HostSample
from app.sources.groups.uptime import UptimeStat

# What hardly ever changes (number of cores, host name) is read once in so many seconds.
RARELY_S = 60.0
FREQUENCY_S = 10.0


class HostReader:
    """Reads one machine, and remembers between two readings what that takes.

    ``disk_path`` says of which file system to tell in ``disk``; ``remote_disks`` whether ``disks``
    lists those that may hang, too. ``vitals`` gives what the hub tells of itself, on the thread of
    the reading. One call at a time.
    """

    def __init__(
        self,
        machine: Machine,
        disk_path: str,
        *,
        remote_disks: bool = False,
        vitals: Callable[[], Vitals | None] = lambda: None,
    ) -> None:
        self._groups = groups = Groups(machine.clock)
        self._clock = clock = machine.clock.monotonic
        # Heritage
        self._stat = ProcessorStat(machine.proc)
        meter = CpuMeter(self._stat.times, self._stat.processors, clock)
        self._cpu = groups.kept("cpu", "processor times", meter)
        cores = Cached(machine.cores, clock, RARELY_S)
        self._cores = groups.kept("cpu.cores", "number of cores", cores)
        self._load_avg = groups.kept("cpu.loadAvg", "load average", machine.load_avg)
        memory = MemoryStat(machine.proc)
        self._memory = groups.kept("memory", "memory", memory.memory)
        mounts, prober = MountTable(machine.proc, clock), Prober(clock)
        disk = DiskPath(disk_path, mounts, prober)
        self._disk = groups.kept("disk", f"file system of {disk_path}", disk)
        uptime = UptimeStat(machine.clock, self._stat.boot, machine.proc)
        self._uptime = groups.kept("uptime", "uptime", uptime)
        hostname = Cached(machine.hostname, clock, RARELY_S)
        self._hostname = groups.kept("hostname", "host name", hostname)
        # The rest
        self._core_meter = CoreMeter()
        self._activities: Lives[Activity] = Lives()
        physical_cores = Cached(machine.physical_cores, clock, RARELY_S)
        self._physical_cores = groups.optional(
            "cpu.physicalCores", "number of physical cores", physical_cores
        )
        frequency = Cached(machine.frequency, clock, FREQUENCY_S)
        self._frequency = groups.optional(
            "cpu.frequencyMHz", "frequency of the processors", frequency
        )
        control_groups = ControlGroups(machine.root)
        self._cpu_limit = groups.optional(
            "cpu.limitCores", "limit of processors", CpuLimitStat(control_groups, clock)
        )
        self._memory_limit = groups.optional(
            "memory.limit", "limit of memory", MemoryLimitStat(control_groups, clock)
        )
        lxcfs = Cached(machine.lxcfs, clock, RARELY_S)
        self._lxcfs = groups.optional("memory.scope", "scope of memory", lxcfs)
        self._zfs_arc = groups.optional("memory.zfsArc", "cache of ZFS", machine.zfs_arc)
        self._swap = groups.optional("swap", "swap space", memory.swap)
        volumes = Volumes(remote_disks, mounts, prober, clock=clock)
        self._volumes = groups.optional("disks", "file systems", volumes)
        disk_meter = DiskMeter(sys=machine.sys, clock=clock)
        self._disk_io = groups.optional("diskIo", "traffic of disks", disk_meter)
        net_meter = NetMeter(sys=machine.sys, clock=clock)
        self._network = groups.optional("network", "traffic of networks", net_meter)
        sensors = Sensors(machine.sys, clock=clock)
        self._sensors = groups.optional("temperatures", "sensors", sensors)
        self._pressure = groups.optional("pressure", "pressure", PressureStat(machine.proc))
        self._own = groups.optional("self", "own cost", OwnStat(clock, vitals))

    def __call__(self) -> HostSample:
        """Read the machine once.

        A heritage figure that cannot be read keeps its last value; all others are left out.

        Raises:
            Exception: a heritage figure cannot be read and never was; whatever reading it raised.
        """
        began = self._clock()
        cpu = self._cpu()  # first, so as to be nearest to the moment of asking
        counts = self._stat.newest
        memory, uptime, lxcfs = self._memory(), self._uptime(), self._lxcfs()
        return HostSample(
            cpu=cpu,
            cores=self._cores(),
            load_avg=self._load_avg(),
            memory=memory,
            disk=self._disk(),
            uptime=uptime.seconds,
            hostname=self._hostname(),
            core_times=self._core_meter(counts.cores, began) if counts else None,
            activity=self._activities({"": counts.activity})[""] if counts else None,
            physical_cores=self._physical_cores(),
            frequency=self._frequency(),
            cpu_limit=self._cpu_limit(),
            swap=self._swap(),
            # In LXC it is the host's.
            zfs_arc=None if lxcfs else self._zfs_arc(),
            memory_limit=self._memory_limit(memory.total),
            lxcfs=lxcfs,
            volumes=self._volumes(),
            disk_io=self._disk_io(),
            network=self._network(),
            sensors=self._sensors(),
            pressure=self._pressure(),
            boot_ms=uptime.boot_ms,
            own=self._own(began),
            errors=self._groups.failures(),
        )
