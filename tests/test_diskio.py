"""Disk traffic against the kernel's own counters, on made-up machines, and of any stream."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.sources.counters import Counted
from app.sources.devices.diskio import DiskCounters, DiskMeter, render_disk_io
from schema.devices import DiskIo
from tests.manual_clock import ManualClock

SECTOR = 512


def shown(**fields: int) -> SimpleNamespace:
    """Make what psutil shows of one device on Linux; what is not given is 0."""
    names = ("read_count", "write_count", "read_bytes", "write_bytes", "read_time", "write_time")
    return SimpleNamespace(**dict.fromkeys((*names, "busy_time"), 0) | fields)


def block(sys: Path, name: str, *, slaves: tuple[str, ...] = (), **files: str) -> None:
    """Make a block device as sysfs has it."""
    folder = sys / "block" / name
    (folder / "slaves").mkdir(parents=True)
    for slave in slaves:
        (folder / "slaves" / slave).touch()
    for file, text in ({"size": "1000"} | files).items():
        (folder / file).write_text(text + "\n")


def meter(sys: Path, *devices: str) -> DiskMeter:
    return DiskMeter(read=lambda: dict.fromkeys(devices, shown()), sys=sys)


def names(reading: Mapping[str, object]) -> list[str]:
    return sorted(reading)


# ---- against the machine


def test_rates_are_what_the_kernel_counts_over_the_same_window(tmp_path: Path) -> None:
    """Within the bounds of readings of /proc/diskstats right before and right after each."""
    read = DiskMeter()
    outer, first, inner = kernel(), read(), kernel()
    began = time.monotonic()
    (tmp_path / "file").write_bytes(b"x" * 2**22)
    inner_end, last, outer_end = kernel(), read(), kernel()
    seconds = time.monotonic() - began
    items = render_disk_io(first, last, seconds)
    assert [item.device for item in items] == sorted(last)
    assert items
    for item in items:
        for index, figure in enumerate(
            (
                item.reads_per_sec,
                item.read_bytes_per_sec,
                item.writes_per_sec,
                item.write_bytes_per_sec,
            )
        ):
            assert figure is not None
            least = inner_end[item.device][index] - inner[item.device][index]
            most = outer_end[item.device][index] - outer[item.device][index]
            assert least / seconds - 0.01 <= figure <= most / seconds + 0.01


def kernel() -> dict[str, tuple[int, int, int, int]]:
    """Give reads, bytes read, writes and bytes written of all block devices (proc_diskstats(5))."""
    lines = [line.split() for line in Path("/proc/diskstats").read_text().splitlines()]
    return {
        line[2]: (int(line[3]), int(line[5]) * SECTOR, int(line[7]), int(line[9]) * SECTOR)
        for line in lines
    }


def test_a_step_back_is_never_made_up_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which is what psutil does, unless it is told not to."""
    asked: list[dict[str, bool]] = []

    def counters(**how: bool) -> Mapping[str, object]:
        asked.append(how)
        return {}

    monkeypatch.setattr(psutil, "disk_io_counters", counters)
    DiskMeter()()
    assert asked == [{"perdisk": True, "nowrap": False}]


# ---- which devices


def test_only_whole_disks_are_listed(tmp_path: Path) -> None:
    """No partitions: sysfs has them inside their disk."""
    block(tmp_path, "sda")
    block(tmp_path, "nvme0n1")
    reading = meter(tmp_path, "sda", "sda1", "nvme0n1", "nvme0n1p1")()
    assert names(reading) == ["nvme0n1", "sda"]


def test_what_is_stacked_on_disks_is_left_out(tmp_path: Path) -> None:
    """Its traffic is that of the disks under it."""
    block(tmp_path, "sda")
    block(tmp_path, "dm-0", slaves=("sda",))
    block(tmp_path, "md0", slaves=("sda", "sdb"))
    assert names(meter(tmp_path, "sda", "dm-0", "md0")()) == ["sda"]


@pytest.mark.parametrize("name", ["loop0", "ram1", "zram0", "zd16"])
def test_what_is_no_disk_is_left_out(tmp_path: Path, name: str) -> None:
    """It lies in memory, or in something that lies on a disk."""
    block(tmp_path, "sda")
    block(tmp_path, name)
    assert names(meter(tmp_path, "sda", name)()) == ["sda"]


def test_drives_without_a_medium_and_hidden_paths_are_left_out(tmp_path: Path) -> None:
    """As there are no data, or those of the disk that the path leads to."""
    block(tmp_path, "sr0", size="0")
    block(tmp_path, "nvme0c0n1", hidden="1")
    block(tmp_path, "nvme0n1", hidden="0")
    assert names(meter(tmp_path, "sr0", "nvme0c0n1", "nvme0n1")()) == ["nvme0n1"]


def test_a_name_with_a_slash_is_found(tmp_path: Path) -> None:
    """Which sysfs writes otherwise."""
    block(tmp_path, "cciss!c0d0")
    assert names(meter(tmp_path, "cciss/c0d0")()) == ["cciss/c0d0"]


def test_without_sysfs_all_that_psutil_lists_is_whole(tmp_path: Path) -> None:
    """As on systems where there are no partitions among it."""
    assert names(meter(tmp_path, "disk0", "disk2")()) == ["disk0", "disk2"]


def test_a_disk_without_slaves_folder_is_whole(tmp_path: Path) -> None:
    """Or without any file: what is not known does not count against it."""
    (tmp_path / "block" / "vda").mkdir(parents=True)
    assert names(meter(tmp_path, "vda")()) == ["vda"]


def test_sysfs_is_asked_seldom(tmp_path: Path) -> None:
    """When a device comes or goes, and every ten seconds."""
    clock = ManualClock()
    block(tmp_path, "sda")
    block(tmp_path, "dm-0")
    read = DiskMeter(
        lambda: {"sda": shown(), "dm-0": shown()}, tmp_path, clock=clock.clock.monotonic
    )
    assert names(read()) == ["dm-0", "sda"]
    (tmp_path / "block" / "dm-0" / "slaves" / "sda").touch()
    assert names(read()) == ["dm-0", "sda"]
    clock.now += 10
    assert names(read()) == ["sda"]


# ---- what is told


def test_a_window_gives_means() -> None:
    """Of bytes, operations, time, and of what an operation took."""
    first = {"sda": Counted(DiskCounters(0, 0, 10, 20, 100, 50, 60), 0)}
    last = {"sda": Counted(DiskCounters(8000, 4000, 14, 24, 1100, 60, 66), 0)}
    assert render_disk_io(first, last, 4.0) == [
        DiskIo(
            device="sda",
            read_bytes_per_sec=2000.0,
            write_bytes_per_sec=1000.0,
            reads_per_sec=1.0,
            writes_per_sec=1.0,
            busy=25.0,
            read_latency_ms=2.5,
            write_latency_ms=1.5,
        )
    ]


def test_without_operations_there_is_no_latency() -> None:
    """Not even one of 0 ms."""
    reading = {"sda": Counted(DiskCounters(1, 1, 1, 1, 1, 1, 1), 0)}
    (item,) = render_disk_io(reading, reading, 1.0)
    assert (item.reads_per_sec, item.read_latency_ms, item.write_latency_ms) == (0.0, None, None)


def test_a_disk_is_never_busy_for_longer_than_the_window() -> None:
    """Whatever the rounding of the kernel's ticks."""
    first = {"sda": Counted(DiskCounters(0, 0, 0, 0, 0, 0, 0), 0)}
    last = {"sda": Counted(DiskCounters(0, 0, 0, 0, 1004, 0, 0), 0)}
    assert render_disk_io(first, last, 1.0)[0].busy == 100.0


def test_what_a_platform_does_not_count_is_not_known() -> None:
    """The rest is told."""
    bare = SimpleNamespace(read_count=1, write_count=1, read_bytes=5, write_bytes=5)
    read = DiskMeter(lambda: {"disk0": bare}, Path("/nowhere"))
    (item,) = render_disk_io(read(), read(), 1.0)
    assert (item.busy, item.read_latency_ms, item.read_bytes_per_sec) == (None, None, 0.0)


def test_a_reading_that_failed_leaves_rates_unknown() -> None:
    """At the end of the window there is nothing, at its beginning there are no rates."""
    reading = {"sda": Counted(DiskCounters(1, 1, 1, 1, 1, 1, 1), 0)}
    assert render_disk_io(reading, None, 1.0) == []
    (item,) = render_disk_io(None, reading, 1.0)
    assert (item.device, item.read_bytes_per_sec, item.busy) == ("sda", None, None)


COUNTER = st.one_of(st.integers(0, 100), st.integers(0, 2**64))
COUNTERS = st.builds(
    lambda *figures: dict(
        zip(
            ("read_count", "write_count", "read_bytes", "write_bytes", "read_time", "write_time"),
            figures,
            strict=True,
        )
    ),
    *[COUNTER] * 6,
)


@given(
    stream=st.lists(st.dictionaries(st.sampled_from("ab"), COUNTERS), min_size=2, max_size=6),
    seconds=st.floats(0.05, 100),
)
def test_any_stream_of_counters_gives_physical_values_or_none(
    stream: list[dict[str, dict[str, int]]], seconds: float
) -> None:
    """Nothing negative, nothing above what was counted, no share above 100."""
    readings = iter(
        [{name: shown(**counters) for name, counters in reading.items()} for reading in stream]
    )
    read = DiskMeter(lambda: next(readings), Path("/nowhere"))
    samples = [read() for _ in stream]
    for first in samples[:-1]:
        for item in render_disk_io(first, samples[-1], seconds):
            counted = stream[-1][item.device]
            assert within(item.read_bytes_per_sec, counted["read_bytes"] / seconds)
            assert within(item.write_bytes_per_sec, counted["write_bytes"] / seconds)
            assert within(item.reads_per_sec, counted["read_count"] / seconds)
            assert within(item.writes_per_sec, counted["write_count"] / seconds)
            assert within(item.read_latency_ms, counted["read_time"])
            assert within(item.write_latency_ms, counted["write_time"])
            assert within(item.busy, 100)


def within(figure: float | None, most: float) -> bool:
    return figure is None or 0 <= figure <= most * (1 + 1e-9) + 0.01
