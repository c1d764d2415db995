"""The ``metrics`` message in detail ``full``, made of a window of samples."""

from __future__ import annotations

from app.core.source import Window
from app.sources.counters import grown, rate
from app.sources.devices.diskio import render_disk_io
from app.sources.devices.network import render_network
from app.sources.devices.sensors import render_battery, render_fans, render_temperatures
from app.sources.devices.volumes import render_volumes
from app.sources.groups.cores import render_cores
from app.sources.groups.cpu import percent, shares_between, usage_max
from app.sources.groups.limits import render_throttled
from app.sources.groups.memory import render_swap
from app.sources.groups.own import render_own
from app.sources.groups.pressure import render_pressure
from app.sources.groups.procstat import Activity
from app.sources.groups.sample import HostSample
from app.sources.groups.standard import render_standard
from schema.memory import FullMemory, Memory, MemoryScope
from schema.metrics import Cpu, Full, FullCpu, GroupError


def render_full(window: Window) -> Full:
    """Give all there is to tell about a window's last sample, with rates over all of it."""
    first: HostSample = window.first
    last: HostSample = window.last
    seconds = window.seconds
    standard = render_standard(window)
    return Full(
        cpu=_cpu(standard.cpu, window),
        memory=_memory(standard.memory, last),
        disk=standard.disk,
        uptime=standard.uptime,
        hostname=standard.hostname,
        swap=render_swap(first.swap, last.swap, seconds),
        disks=render_volumes(last.volumes),
        disk_io=render_disk_io(first.disk_io, last.disk_io, seconds),
        network=render_network(first.network, last.network, seconds),
        temperatures=render_temperatures(last.sensors),
        fans=render_fans(last.sensors),
        battery=render_battery(last.sensors),
        pressure=render_pressure(first.pressure, last.pressure, seconds),
        boot_time=last.boot_ms,
        self_=render_own(first.own, last.own, seconds),
        errors=[
            GroupError(failure.group, failure.code, failure.since_ms) for failure in last.errors
        ],
    )


def _cpu(standard: Cpu, window: Window) -> FullCpu:
    first: HostSample = window.first
    last: HostSample = window.last
    shares = shares_between(first.cpu, last.cpu)
    switches, interrupts = _activity(first, last, window.seconds)
    return FullCpu(
        usage=standard.usage,
        cores=standard.cores,
        load_avg=standard.load_avg,
        usage_max=usage_max([sample.cpu for sample in window.samples]),
        **shares._asdict(),
        per_core=render_cores(first.core_times, last.core_times),
        physical_cores=last.physical_cores,
        frequency_MHz=None if last.frequency is None else round(last.frequency, 2),
        context_switches_per_sec=switches,
        interrupts_per_sec=interrupts,
        limit_cores=None if last.cpu_limit is None else round(last.cpu_limit.cores, 3),
        throttled_percent=render_throttled(first.cpu_limit, last.cpu_limit),
    )


def _activity(
    first: HostSample, last: HostSample, seconds: float
) -> tuple[float | None, float | None]:
    ends = None if last.activity is None else grown(first.activity, last.activity)
    before, after = ends or (Activity(None, None), Activity(None, None))
    return (
        rate(before.switches, after.switches, seconds),
        rate(before.interrupts, after.interrupts, seconds),
    )


def _memory(standard: Memory, last: HostSample) -> FullMemory:
    space, limit = last.memory, last.memory_limit
    return FullMemory(
        total=standard.total,
        used=standard.used,
        free=standard.free,
        usage=standard.usage,
        available=space.available,
        unused=space.unused,
        buffers=space.buffers,
        cached=space.cached,
        shared=space.shared,
        reclaimable=space.reclaimable,
        zfs_arc=last.zfs_arc,
        limit=None if limit is None else limit.limit,
        limit_usage=None if limit is None else percent(limit.used, limit.limit),
        scope=_scope(last),
    )


def _scope(last: HostSample) -> MemoryScope | None:
    if last.lxcfs is None:
        return None
    if last.lxcfs:
        return MemoryScope.LXCFS
    return MemoryScope.HOST if last.memory_limit is None else MemoryScope.CGROUP
