"""The newest sample of the host, in base units and under names in Prometheus's manner."""

from __future__ import annotations

from collections.abc import Iterator
from operator import attrgetter

from prometheus_client.metrics_core import Metric

from app.scrape.family import Sample, counter, gauge, one, scaled
from app.sources.devices.network import NetSample
from app.sources.devices.volumes import VolumeReading
from app.sources.groups.cores import OFFLINE, CoreTimes
from app.sources.groups.memory import SwapSpace
from app.sources.groups.sample import HostSample
from schema.devices import VolumeStatus

MICRO, MILLI, RATIO = 1e-6, 1e-3, 1e-2
MINUTES = (1, 5, 15)


def host_families(sample: HostSample) -> Iterator[Metric]:
    """Give all that a sample tells; counters are since boot, or since the server was started."""
    yield from _processors(sample)
    yield from _memory(sample)
    yield from _file_systems(sample)
    yield from _disks(sample)
    if sample.network is not None:
        yield from _network(sample.network)
    yield from _sensors(sample)
    yield from _pressure(sample)
    yield from gauge(
        "pulsewire_host_boot_time_seconds",
        "Moment of boot, in seconds since the epoch.",
        one(scaled(sample.boot_ms, MILLI)),
    )
    yield from gauge("pulsewire_host_uptime_seconds", "Time since boot.", one(sample.uptime))
    failing: list[Sample] = [((failure.group, failure.code), 1) for failure in sample.errors]
    yield from gauge(
        "pulsewire_host_group_failing",
        "Groups of figures that cannot be read at present.",
        failing,
        *("group", "code"),
    )


def _processors(sample: HostSample) -> Iterator[Metric]:
    modes = sample.cpu.modes._asdict()
    known: list[Sample] = [((mode,), scaled(spent, MICRO)) for mode, spent in modes.items()]
    idle = sample.cpu.idle - (sample.cpu.modes.iowait or 0)
    yield from counter(
        "pulsewire_host_cpu_seconds",
        "Time of all processors by what it was spent for, since the server was started.",
        [*known, (("idle",), idle * MICRO)],
        "mode",
    )
    yield from gauge(
        "pulsewire_host_cpu_usage_ratio",
        "Busy share of all processors over the newest tick.",
        one(sample.cpu.usage * RATIO),
    )
    yield from gauge("pulsewire_host_cpus", "Number of processors.", one(sample.cores))
    yield from gauge(
        "pulsewire_host_cpu_limit_cores",
        "Processors' time that the control group may use, as a number of processors.",
        one(None if sample.cpu_limit is None else sample.cpu_limit.cores),
    )
    if sample.core_times is not None:
        yield from _cores(sample.core_times)
    for minutes, load in zip(MINUTES, sample.load_avg, strict=True):
        name, text = f"pulsewire_host_load{minutes}", f"Runnable tasks, mean over {minutes} min."
        yield from gauge(name, text, one(load))
    if sample.activity is not None:
        switches, interrupts = sample.activity.counters
        yield from counter("pulsewire_host_context_switches", "Task switches.", one(switches))
        yield from counter("pulsewire_host_interrupts", "Interrupts.", one(interrupts))


def _cores(times: CoreTimes) -> Iterator[Metric]:
    samples: list[Sample] = []
    for number, life in enumerate(times.lives):
        if life != OFFLINE:
            core = times.of(number)
            samples.append(((str(number), "busy"), core.busy * MICRO))
            samples.append(((str(number), "idle"), core.idle * MICRO))
    text = "Time of each processor, by whether it had something to do."
    yield from counter("pulsewire_host_core_seconds", text, samples, "core", "mode")


def _memory(sample: HostSample) -> Iterator[Metric]:
    space, limit = sample.memory, sample.memory_limit
    figures = {
        "total": ("All main memory.", space.total),
        "available": ("What programs may still take.", space.available),
        "free": ("What nothing uses at all.", space.unused),
        "buffers": ("Raw blocks of disks.", space.buffers),
        "cached": ("Contents of files.", space.cached),
        "shared": ("Shared memory and tmpfs.", space.shared),
        "reclaimable": ("What the kernel can give back of its own.", space.reclaimable),
        "zfs_arc": ("Cache of ZFS.", sample.zfs_arc),
        "limit": ("What the control group may use.", limit and limit.limit),
        "limit_used": ("What the control group uses of that.", limit and limit.used),
    }
    for name, (text, value) in figures.items():
        yield from gauge(f"pulsewire_host_memory_{name}_bytes", text, one(value))
    if sample.swap is not None:
        yield from _swap(sample.swap)


def _swap(swap: SwapSpace) -> Iterator[Metric]:
    traffic = swap.traffic.counters
    yield from gauge("pulsewire_host_swap_total_bytes", "All swap space.", one(swap.total))
    yield from gauge("pulsewire_host_swap_free_bytes", "Swap space not in use.", one(swap.free))
    yield from counter("pulsewire_host_swap_read_bytes", "Read back from swap.", one(traffic.read))
    yield from counter(
        "pulsewire_host_swap_written_bytes", "Written to swap.", one(traffic.written)
    )


def _file_systems(sample: HostSample) -> Iterator[Metric]:
    labels = ("device", "fstype", "mountpoint")
    readings = sample.volumes.readings if sample.volumes else ()
    measured = [(_names(reading), reading.space) for reading in readings]
    figures = (
        ("size", "Size of a file system.", attrgetter("total")),
        ("used", "What is taken of it.", attrgetter("used")),
        ("free", "What others than root may still write.", attrgetter("free")),
        ("reserved", "What only root may write.", attrgetter("reserved")),
    )
    for name, text, get in figures:
        samples: list[Sample] = [(names, get(space)) for names, space in measured if space]
        yield from gauge(f"pulsewire_host_filesystem_{name}_bytes", text, samples, *labels)
    answers: list[Sample] = [(_names(r), float(r.status is VolumeStatus.OK)) for r in readings]
    text = "1 if a file system's figures are fresh, 0 if they could not be read."
    yield from gauge("pulsewire_host_filesystem_up", text, answers, *labels)


def _names(reading: VolumeReading) -> tuple[str, str, str]:
    volume = reading.volume
    return volume.device, volume.fs_type, volume.mounts[0] if volume.mounts else ""


def _disks(sample: HostSample) -> Iterator[Metric]:
    figures = (
        ("read_bytes", "Read from a disk.", 1.0),
        ("written_bytes", "Written to a disk.", 1.0),
        ("reads_completed", "Reads completed.", 1.0),
        ("writes_completed", "Writes completed.", 1.0),
        ("busy_seconds", "Time in which a disk had something to do.", MILLI),
        ("read_seconds", "Time of all reads, waiting included.", MILLI),
        ("write_seconds", "Time of all writes, waiting included.", MILLI),
    )
    disks = sample.disk_io or {}
    for at, (name, text, factor) in enumerate(figures):
        samples: list[Sample] = [
            ((device,), scaled(counted.counters[at], factor)) for device, counted in disks.items()
        ]
        yield from counter(f"pulsewire_host_disk_{name}", text, samples, "device")


def _network(network: NetSample) -> Iterator[Metric]:
    figures = (
        ("receive_bytes", "Received by an interface."),
        ("transmit_bytes", "Sent by an interface."),
        ("receive_packets", "Packets received."),
        ("transmit_packets", "Packets sent."),
        ("receive_errors", "Packets that came with errors."),
        ("transmit_errors", "Packets that could not be sent for errors."),
        ("receive_drops", "Packets dropped after they came."),
        ("transmit_drops", "Packets dropped before they went."),
    )
    for at, (name, text) in enumerate(figures):
        samples: list[Sample] = [
            ((interface,), counted.counters[at]) for interface, counted in network.counted.items()
        ]
        yield from counter(f"pulsewire_host_network_{name}", text, samples, "interface")
    up: list[Sample] = [
        ((name, link.kind), None if link.up is None else float(link.up))
        for name, link in network.links.items()
    ]
    text = "Whether an interface is up."
    yield from gauge("pulsewire_host_network_up", text, up, "interface", "kind")


def _sensors(sample: HostSample) -> Iterator[Metric]:
    if sample.sensors is None:
        return
    labels = ("sensor", "label")
    temperatures: list[Sample] = [
        ((reading.sensor, reading.label), reading.celsius)
        for reading in sample.sensors.temperatures
    ]
    text = "Reading of a temperature sensor."
    yield from gauge("pulsewire_host_temperature_celsius", text, temperatures, *labels)
    fans: list[Sample] = [((fan.sensor, fan.label), fan.rpm) for fan in sample.sensors.fans]
    yield from gauge("pulsewire_host_fan_rpm", "Turns of a fan a minute.", fans, *labels)
    battery = sample.sensors.battery
    left = None if battery is None else scaled(battery.percent, RATIO)
    yield from gauge("pulsewire_host_battery_ratio", "How full the battery is.", one(left))


def _pressure(sample: HostSample) -> Iterator[Metric]:
    stalls = sample.pressure._asdict() if sample.pressure else {}
    counted = {resource: stall.waits.counters for resource, stall in stalls.items() if stall}
    some: list[Sample] = [((name,), scaled(w.some, MICRO)) for name, w in counted.items()]
    full: list[Sample] = [((name,), scaled(w.full, MICRO)) for name, w in counted.items()]
    name, text = "pulsewire_host_pressure", "Time in which"
    yield from counter(f"{name}_waiting_seconds", f"{text} some task waited.", some, "resource")
    yield from counter(f"{name}_stalled_seconds", f"{text} all tasks waited.", full, "resource")
