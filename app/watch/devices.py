"""File systems, disks, networks."""

from __future__ import annotations

from rich.text import Text

from app.watch.figures import Pen, level
from app.watch.picture import Data
from app.watch.section import Column, Section, table
from schema.devices import DiskVolume, InterfaceKind, NetworkInterface, VolumeStatus
from schema.metrics import Full

_KINDS = list(InterfaceKind)


def disks(data: Data, pen: Pen, width: int) -> Section:
    """Show the file systems."""
    columns = [
        Column("Disks", 12, right=False),
        Column("", 12, right=False),
        Column("used", 7),
        Column("free", 10),
        Column("size", 10),
        Column("", 10, right=False),
    ]
    rows: list[list[Text | str]] = []
    if isinstance(data, Full) and data.disks:
        rows = [_volume(pen, volume) for volume in data.disks]
    else:
        disk = data.disk
        rows.append(_space(pen, disk.path, disk.usage, disk.free, disk.total))
    return Section(table(pen, width, columns, rows), rank=2, least=2)


def _space(
    pen: Pen, name: str, usage: float | None, free: int | None, total: int | None
) -> list[Text | str]:
    share = Text(pen.percent(usage), style=level(usage))
    return [pen.clean(name), pen.bar(usage, 12), share, pen.size(free), pen.size(total)]


def _volume(pen: Pen, volume: DiskVolume) -> list[Text | str]:
    name = volume.mounts[0] if volume.mounts else volume.device
    if len(volume.mounts) > 1:
        name += f" (+{len(volume.mounts) - 1})"
    cells = _space(pen, name, volume.usage, volume.free, volume.total)
    if volume.status is not VolumeStatus.OK:
        return [*cells, Text(volume.status.value, style="bold red")]
    return [*cells, Text("read only" if volume.read_only else volume.fs_type, style="dim")]


def disk_io(data: Data, pen: Pen, width: int) -> Section:
    """Show what the disks do."""
    if not isinstance(data, Full) or not data.disk_io:
        return Section([], rank=5)
    columns = [
        Column("Disk I/O", 12, right=False),
        Column("read", 12),
        Column("written", 12),
        Column("busy", 7),
        Column("read in", 9),
        Column("written in", 10),
    ]
    rows: list[list[Text | str]] = [
        [
            pen.clean(disk.device),
            pen.rate(disk.read_bytes_per_sec),
            pen.rate(disk.write_bytes_per_sec),
            Text(pen.percent(disk.busy), style=level(disk.busy)),
            pen.number(disk.read_latency_ms, "ms"),
            pen.number(disk.write_latency_ms, "ms"),
        ]
        for disk in sorted(data.disk_io, key=lambda one: -(one.busy or 0.0))
    ]
    return Section(table(pen, width, columns, rows), rank=5, least=2)


def network(data: Data, pen: Pen, width: int) -> Section:
    """Show the network interfaces, those of hardware first."""
    if not isinstance(data, Full) or not data.network:
        return Section([], rank=3)
    columns = [
        Column("Network", 12, right=False),
        Column("received", 12),
        Column("sent", 12),
        Column("errors", 8),
        Column("dropped", 8),
        Column("link", 10),
    ]
    rows: list[list[Text | str]] = [
        [
            Text(pen.clean(one.interface), style="dim" if one.up is False else ""),
            pen.rate(one.rx_bytes_per_sec),
            pen.rate(one.tx_bytes_per_sec),
            pen.number(one.errors_per_sec, "/s", 0),
            pen.number(one.drops_per_sec, "/s", 0),
            _link(pen, one),
        ]
        for one in sorted(data.network, key=_busiest)
    ]
    return Section(table(pen, width, columns, rows), rank=3, least=2)


def _busiest(one: NetworkInterface) -> tuple[bool, int, float]:
    traffic = (one.rx_bytes_per_sec or 0.0) + (one.tx_bytes_per_sec or 0.0)
    return one.up is False, _KINDS.index(one.kind), -traffic


def _link(pen: Pen, one: NetworkInterface) -> str:
    if one.up is False:
        return "down"
    return pen.number(one.speed_mbps, "Mbit", 0) if one.speed_mbps else one.kind.value
