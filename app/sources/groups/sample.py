"""One look at a machine: what the ``metrics`` source keeps of it."""

from __future__ import annotations

from attrs import frozen

from app.sources.counters import Counted
from app.sources.devices.diskio import DiskSample
from app.sources.devices.network import NetSample
from app.sources.devices.sensors import SensorSample
from app.sources.devices.space import DiskSpace
from app.sources.devices.volumes import VolumesSample
from app.sources.groups.cores import CoreTimes
from app.sources.groups.cpu import CpuTime
from app.sources.groups.kept import Failure
from app.sources.groups.limits import CpuLimit, MemoryLimit
from app.sources.groups.memory import MemorySpace, SwapSpace
from app.sources.groups.own import OwnUse
from app.sources.groups.pressure import PressureCounts
from app.sources.groups.procstat import Activity


@frozen(kw_only=True)
class HostSample:
    """Raw figures only, percentages are made of two of them.

    ``load_avg`` are the system's means over 1, 5 and 15 minutes, ``uptime`` is seconds since boot.
    What has a default is for ``detail: full`` alone; there None is what was not read, or is not
    there. Thousands of these are kept, so they share what does not change.
    """

    cpu: CpuTime
    cores: int
    load_avg: tuple[float, float, float]
    memory: MemorySpace
    disk: DiskSpace
    uptime: float
    hostname: str

    core_times: CoreTimes | None = None
    activity: Counted[Activity] | None = None
    physical_cores: int | None = None
    frequency: float | None = None
    cpu_limit: CpuLimit | None = None
    swap: SwapSpace | None = None
    zfs_arc: int | None = None
    memory_limit: MemoryLimit | None = None
    lxcfs: bool | None = None
    volumes: VolumesSample | None = None
    disk_io: DiskSample | None = None
    network: NetSample | None = None
    sensors: SensorSample | None = None
    pressure: PressureCounts | None = None
    boot_ms: int | None = None
    own: OwnUse | None = None
    errors: tuple[Failure, ...] = ()
