"""Uptime and the moment of boot."""

from __future__ import annotations

import time
from pathlib import Path

import psutil
import pytest
from attrs import define

from app.core.clock import Clock
from app.sources.groups.uptime import Uptime, UptimeStat

BOOT = 1_700_000_000


@define
class Hands:
    """Clocks that are set by hand, in seconds."""

    wall: float = BOOT + 100.0
    boottime: float = 100.0

    def clock(self) -> Clock:
        return Clock(wall=lambda: self.wall, boottime=lambda: self.boottime)


def test_the_machine_tells_both() -> None:
    """As /proc and psutil have them."""
    earlier = time.clock_gettime(time.CLOCK_BOOTTIME)
    uptime = UptimeStat(Clock(), lambda: None)()
    assert earlier - 0.011 <= uptime.seconds <= time.clock_gettime(time.CLOCK_BOOTTIME)
    assert uptime.boot_ms / 1000 == pytest.approx(psutil.boot_time(), abs=2)


def test_it_is_the_boot_clock_where_there_is_no_proc(tmp_path: Path) -> None:
    """Suspended time included, which the monotonic clock leaves out."""
    assert UptimeStat(Hands().clock(), lambda: BOOT, tmp_path)() == Uptime(100.0, BOOT * 1000)


def test_the_file_goes_before_the_clock(tmp_path: Path) -> None:
    """In a container of LXC it alone knows; and then the host's moment of boot is another's."""
    (tmp_path / "uptime").write_text("40.25 70.00\n")
    read = UptimeStat(Hands().clock(), lambda: BOOT, tmp_path)
    assert read() == Uptime(40.25, (BOOT + 60) * 1000)


def test_the_moment_of_boot_does_not_jitter(tmp_path: Path) -> None:
    """By what the resolution of two clocks makes of it; the system's own word is taken."""
    hands = Hands()
    read = UptimeStat(hands.clock(), lambda: BOOT - 1, tmp_path)
    moments = set()
    for step in range(200):
        hands.boottime, hands.wall = 100.0 + step, BOOT + 100.0 + step + 0.9 * (-1) ** step
        moments.add(read().boot_ms)
    assert moments == {(BOOT - 1) * 1000}


@pytest.mark.parametrize("told", [BOOT, None])
def test_it_moves_when_the_wall_clock_is_set(tmp_path: Path, told: int | None) -> None:
    """Once."""
    hands = Hands()
    read = UptimeStat(hands.clock(), lambda: told, tmp_path)
    assert read().boot_ms == BOOT * 1000
    hands.wall += 3600
    assert read().boot_ms == (BOOT + 3600) * 1000
    hands.wall += 1.4
    assert read().boot_ms == (BOOT + 3600) * 1000


def test_nonsense_is_an_error(tmp_path: Path) -> None:
    """That names the file."""
    (tmp_path / "uptime").write_text("long\n")
    with pytest.raises(ValueError, match="uptime: cannot be understood"):
        UptimeStat(Clock(), lambda: None, tmp_path)()
