"""The ``metrics`` message as heritage has it, made of a window of samples."""

from __future__ import annotations

from app.core.source import Window
from app.sources.devices.space import DiskSpace
from app.sources.groups.cpu import percent, usage_between
from app.sources.groups.memory import render_memory
from app.sources.groups.sample import HostSample
from schema.metrics import Cpu, Disk, Simple, Standard


def render_simple(window: Window) -> Simple:
    """Give the four numbers about a window's last sample."""
    standard = render_standard(window)
    return Simple(
        cpu=standard.cpu.usage,
        memory=standard.memory.usage,
        disk=standard.disk.usage,
        uptime=standard.uptime,
    )


def render_standard(window: Window) -> Standard:
    """Give the heritage shape about a window's last sample, with the mean usage over all of it."""
    first: HostSample = window.first
    last: HostSample = window.last
    return Standard(
        cpu=Cpu(
            usage=usage_between(first.cpu, last.cpu),
            cores=last.cores,
            load_avg=[round(mean, 2) for mean in last.load_avg],
        ),
        memory=render_memory(last.memory),
        disk=_disk(last.disk),
        uptime=round(last.uptime, 2),
        hostname=last.hostname,
    )


def _disk(space: DiskSpace) -> Disk:
    return Disk(
        total=space.total,
        used=space.used,
        free=space.free,
        usage=percent(space.used, space.used + space.free),
        path=space.path,
    )
