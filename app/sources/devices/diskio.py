"""What whole disks read and write.

A block device is listed if its traffic is not that of another one in the list. So there are no
partitions, and nothing that is stacked on disks (device mapper with LVM, LUKS and multipath, MD
arrays, bcache): what it does, the disks under it do, and who adds up the list must not count it
twice. For the same reason there are no loop devices (their files lie on a disk) and no ZFS volumes,
and what lies in memory (ram, zram) is no disk at all.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any, NamedTuple

import psutil
from attrs import define, field

from app.sources.counters import Counted, Lives, grown, rate
from app.sources.devices.known import Known
from schema.devices import DiskIo

_NO_DISK = re.compile(r"(loop|ram|zram|zd)\d+")


class DiskCounters(NamedTuple):
    """One disk's counters since boot; one that the platform does not have is None.

    Bytes, completed operations, and milliseconds: those in which there was something to do, and
    the sums of what the operations took.
    """

    read_bytes: int | None
    write_bytes: int | None
    reads: int | None
    writes: int | None
    busy_ms: int | None
    read_ms: int | None
    write_ms: int | None


DiskSample = Mapping[str, Counted[DiskCounters]]


def _disk_io_counters() -> Mapping[str, Any]:
    # Not `nowrap`: it makes a jump of a terabyte out of a small step back.
    return psutil.disk_io_counters(perdisk=True, nowrap=False)


@define(eq=False)
class DiskMeter:
    """Reads the counters of whole disks, by name.

    ``read`` gives an object with psutil's fields for each block device, ``sys`` is where sysfs is,
    ``clock`` gives monotonic seconds.
    """

    read: Callable[[], Mapping[str, Any]] = _disk_io_counters
    sys: Path = Path("/sys")
    clock: Callable[[], float] = time.monotonic
    _lives: Lives[DiskCounters] = field(init=False, factory=Lives)
    _whole: Known[AbstractSet[str]] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._whole = Known(self._whole_disks, self.clock)

    def __call__(self) -> DiskSample:
        """Read them once.

        Raises:
            Exception: whatever reading them raised.
        """
        devices = self.read()
        whole = self._whole(devices.keys())
        return self._lives(
            {name: _counters(shown) for name, shown in devices.items() if name in whole}
        )

    def _whole_disks(self, names: AbstractSet[str]) -> AbstractSet[str]:
        block = self.sys / "block"
        if not block.is_dir():  # elsewhere than on Linux psutil lists nothing but disks
            return frozenset(names)
        return frozenset(name for name in names if _is_whole(block / name.replace("/", "!")))


def _is_whole(block: Path) -> bool:
    return (
        block.is_dir()
        and not _NO_DISK.fullmatch(block.name)
        and not any(_entries(block / "slaves"))
        # A path of a multipath NVMe disk: its traffic is counted for the disk.
        and _text(block / "hidden") != "1"
        # A drive without a medium, an array that is not assembled.
        and _text(block / "size") != "0"
    )


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _counters(shown: object) -> DiskCounters:
    """Take psutil's fields by name: which there are, and in what order, platforms differ in."""
    return DiskCounters(
        read_bytes=getattr(shown, "read_bytes", None),
        write_bytes=getattr(shown, "write_bytes", None),
        reads=getattr(shown, "read_count", None),
        writes=getattr(shown, "write_count", None),
        busy_ms=getattr(shown, "busy_time", None),
        read_ms=getattr(shown, "read_time", None),
        write_ms=getattr(shown, "write_time", None),
    )


def render_disk_io(
    first: DiskSample | None, last: DiskSample | None, seconds: float
) -> list[DiskIo]:
    """Give each disk's means over a window, sorted by name.

    Args:
        first: the reading at its beginning; None if it failed.
        last: the reading at its end; None if it failed, and there is nothing to tell.
        seconds: its length.
    """
    return [
        _disk_io(name, grown((first or {}).get(name), counted), seconds)
        for name, counted in sorted((last or {}).items())
    ]


def _disk_io(name: str, ends: tuple[DiskCounters, DiskCounters] | None, seconds: float) -> DiskIo:
    before, after = ends or (_UNKNOWN, _UNKNOWN)
    return DiskIo(
        device=name,
        read_bytes_per_sec=rate(before.read_bytes, after.read_bytes, seconds),
        write_bytes_per_sec=rate(before.write_bytes, after.write_bytes, seconds),
        reads_per_sec=rate(before.reads, after.reads, seconds),
        writes_per_sec=rate(before.writes, after.writes, seconds),
        busy=_busy(before.busy_ms, after.busy_ms, seconds),
        read_latency_ms=_latency(before.read_ms, after.read_ms, before.reads, after.reads),
        write_latency_ms=_latency(before.write_ms, after.write_ms, before.writes, after.writes),
    )


_UNKNOWN = DiskCounters(None, None, None, None, None, None, None)


def _busy(before: int | None, after: int | None, seconds: float) -> float | None:
    busy_ms_per_sec = rate(before, after, seconds)
    # Counted in ticks of the kernel, so it may come out a little over.
    return None if busy_ms_per_sec is None else min(round(busy_ms_per_sec / 10, 2), 100.0)


def _latency(
    ms_before: int | None, ms_after: int | None, done_before: int | None, done_after: int | None
) -> float | None:
    if ms_before is None or ms_after is None or done_before is None or done_after is None:
        return None
    done = done_after - done_before
    return round((ms_after - ms_before) / done, 2) if done else None
