"""The `metrics` message in full detail: out of samples, and on every transport."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from typing import Any

import pytest
from attrs import evolve

from app.core.log import Log, Reading
from app.core.source import Window
from app.sources.counters import Lives
from app.sources.devices.space import DiskSpace
from app.sources.groups.cores import CoreMeter
from app.sources.groups.cpu import CpuTime, Modes
from app.sources.groups.full import render_full
from app.sources.groups.kept import Failure
from app.sources.groups.limits import CpuLimit, MemoryLimit
from app.sources.groups.memory import MemorySpace, SwapSpace, SwapTraffic
from app.sources.groups.own import OwnUse
from app.sources.groups.procstat import Activity, CoreTime
from app.sources.groups.sample import HostSample
from app.sources.groups.standard import render_standard
from schema.fields import GapReason
from schema.memory import MemoryScope
from schema.metrics import GroupError

SECOND = 1_000_000
SAMPLE = HostSample(
    cpu=CpuTime(0, 0, 12.5),
    cores=2,
    load_avg=(0.5, 0.25, 0.125),
    memory=MemorySpace(1000, 250, unused=100, buffers=10, cached=60, shared=5, reclaimable=20),
    disk=DiskSpace("/", 1000, 300, 500),
    uptime=12.345,
    hostname="workshop",
)


def test_without_anything_more_it_is_standard() -> None:
    """What was not read, or is not there, is null or empty; no key is missing."""
    window = Window([SAMPLE, SAMPLE], 1.0)
    full, standard = render_full(window), render_standard(window)
    assert full.cpu.usage == full.cpu.usage_max == standard.cpu.usage == 12.5
    assert (full.disk, full.uptime, full.hostname) == (standard.disk, 12.35, "workshop")
    assert full.cpu.per_core == []
    nulls = [
        full.cpu.user, full.cpu.iowait, full.cpu.physical_cores, full.cpu.frequency_MHz,
        full.cpu.context_switches_per_sec, full.cpu.interrupts_per_sec, full.cpu.limit_cores,
        full.cpu.throttled_percent, full.memory.zfs_arc, full.memory.limit,
        full.memory.limit_usage, full.memory.scope, full.swap, full.battery, full.pressure,
        full.boot_time, full.self_.cpu, full.self_.rss_bytes,
    ]  # fmt: skip
    assert nulls == [None] * len(nulls)
    lists = [full.disks, full.disk_io, full.network, full.temperatures, full.fans, full.errors]
    assert lists == [[]] * len(lists)


def test_processors_in_full() -> None:
    """Means over the window's two ends, and the highest of its ticks."""
    meter, lives = CoreMeter(), Lives[Activity]()
    quiet, busy = Modes(0, 0, 0, 0, 0, 0, 0), Modes(SECOND, 0, SECOND // 2, 0, 0, 0, 0)
    cores = [{0: CoreTime(0, 0)}, {0: CoreTime(0, SECOND)}, {0: CoreTime(SECOND, SECOND)}]
    samples = [
        evolve(
            SAMPLE,
            cpu=CpuTime(sum(modes), idle, 0.0, modes),  # type: ignore[arg-type]
            core_times=meter(core, float(at)),
            activity=lives({"": Activity(100 * at, 50 * at)})[""],
            physical_cores=1,
            frequency=2345.678,
            cpu_limit=CpuLimit(1 / 3, None),
        )
        for at, (modes, idle, core) in enumerate(
            zip([quiet, quiet, busy], [0, SECOND, SECOND * 3 // 2], cores, strict=True)
        )
    ]
    cpu = render_full(Window(samples, 2.0)).cpu
    assert (cpu.usage, cpu.usage_max) == (50.0, 75.0)
    assert (cpu.user, cpu.system, cpu.steal) == (33.33, 16.67, 0.0)
    assert cpu.per_core == [50.0]
    assert (cpu.context_switches_per_sec, cpu.interrupts_per_sec) == (100.0, 50.0)
    assert (cpu.physical_cores, cpu.frequency_MHz, cpu.limit_cores) == (1, 2345.68, 0.333)


@pytest.mark.parametrize(
    ("changes", "scope"),
    [
        ({"lxcfs": False}, MemoryScope.HOST),
        ({"lxcfs": False, "memory_limit": MemoryLimit(500, 100)}, MemoryScope.CGROUP),
        ({"lxcfs": True}, MemoryScope.LXCFS),
        ({"memory_limit": MemoryLimit(500, 100)}, None),
    ],
)
def test_memory_in_full(changes: Mapping[str, Any], scope: MemoryScope | None) -> None:
    """Whose total it is, and what bounds it."""
    memory = render_full(Window([SAMPLE, evolve(SAMPLE, zfs_arc=7, **changes)], 1.0)).memory
    assert memory.scope == scope
    limited = "memory_limit" in changes
    assert (memory.limit, memory.limit_usage) == ((500, 20.0) if limited else (None, None))
    assert (memory.used, memory.free, memory.usage) == (750, 250, 75.0)
    assert (memory.available, memory.unused, memory.buffers, memory.zfs_arc) == (250, 100, 10, 7)
    assert (memory.cached, memory.shared, memory.reclaimable) == (60, 5, 20)


def test_what_cannot_be_read_is_told() -> None:
    """By the key that it is about."""
    last = evolve(SAMPLE, errors=(Failure("swap", "EACCES", 5),), boot_ms=7)
    full = render_full(Window([SAMPLE, last], 1.0))
    assert full.errors == [GroupError("swap", "EACCES", 5)]
    assert full.boot_time == 7


def test_no_window_spans_a_hole() -> None:
    """What was counted while nothing was sampled is in no rate."""
    log, lives = Log(keep_ticks=100), Lives[SwapTraffic]()
    counted = count(step=1000)

    def reading(at: float, more: int = 0) -> Reading:
        traffic = lives({"": SwapTraffic(next(counted) + more, 0)})[""]
        own = OwnUse(at / 10, 1, 1.0, None)
        return Reading(at, 0, evolve(SAMPLE, swap=SwapSpace(1, 1, traffic), own=own))

    log.append("metrics", "h", 0, reading(0.0), base=reading(-1.0))
    for tick in range(1, 5):
        log.append("metrics", "h", tick, reading(float(tick)))
    base = reading(99.0, 10**9)
    after = log.append("metrics", "h", 99, reading(100.0, 10**9), base=base, hole=GapReason.SUSPEND)
    window = log.ring("metrics", "h").window(after, 60)
    assert window is not None
    full = render_full(window)
    assert full.swap is not None
    assert full.swap.in_bytes_per_sec == 1000.0
    assert full.self_.cpu == 10.0
