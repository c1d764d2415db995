"""Main memory and swap space."""

from __future__ import annotations

import mmap
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.sources.counters import Lives
from app.sources.groups.memory import (
    MemorySpace,
    MemoryStat,
    SwapSpace,
    SwapTraffic,
    render_memory,
    render_swap,
)
from schema.memory import Swap

MEMINFO = """\
MemTotal:       1000 kB
MemFree:         100 kB
MemAvailable:    700 kB
Buffers:          10 kB
Cached:          300 kB
SwapCached:        0 kB
SwapTotal:       400 kB
SwapFree:        300 kB
Shmem:            20 kB
SReclaimable:     50 kB
HugePages_Total:   0
"""
VMSTAT = "nr_free_pages 7\npswpin 3\npswpout 5\nthp_swpin 9\n"


@pytest.fixture
def stat(tmp_path: Path) -> MemoryStat:
    (tmp_path / "meminfo").write_text(MEMINFO)
    (tmp_path / "vmstat").write_text(VMSTAT)
    return MemoryStat(tmp_path)


def test_memory_is_what_the_kernel_tells(stat: MemoryStat) -> None:
    """In bytes, by its names."""
    assert stat.memory() == MemorySpace(
        total=1000 * 1024,
        available=700 * 1024,
        unused=100 * 1024,
        buffers=10 * 1024,
        cached=350 * 1024,
        shared=20 * 1024,
        reclaimable=50 * 1024,
    )


def test_swap_is_what_the_kernel_tells(stat: MemoryStat) -> None:
    """Out of the same reading; its traffic comes in pages."""
    stat.memory()
    swap = stat.swap()
    assert (swap.total, swap.free) == (400 * 1024, 300 * 1024)
    assert swap.traffic.counters == SwapTraffic(3 * mmap.PAGESIZE, 5 * mmap.PAGESIZE)


def test_both_are_what_psutil_tells_of_this_machine() -> None:
    """Memory to what other programs take or give back meanwhile."""
    stat, shown, swap = MemoryStat(), psutil.virtual_memory(), psutil.swap_memory()
    memory = stat.memory()
    assert memory.total == shown.total
    for mine, theirs in [
        (memory.available, shown.available),
        (memory.unused, shown.free),
        (memory.buffers, shown.buffers),
        (memory.cached, shown.cached),
        (memory.shared, shown.shared),
    ]:
        assert mine == pytest.approx(theirs, abs=256 * 2**20)
    assert stat.swap()[:2] == pytest.approx((swap.total, swap.free), abs=2**20)


def test_psutil_stands_in_where_there_is_no_such_file(tmp_path: Path) -> None:
    """Traffic is counted in bytes there."""
    stat, shown, swap = MemoryStat(tmp_path), psutil.virtual_memory(), psutil.swap_memory()
    memory = stat.memory()
    assert (memory.total, memory.reclaimable) == (shown.total, None)
    assert memory.cached == pytest.approx(shown.cached, abs=256 * 2**20)
    assert stat.swap()[:2] == pytest.approx((swap.total, swap.free), abs=2**20)


@pytest.mark.parametrize("kilobytes", ["", "MemAvailable: 0 kB\n", "MemAvailable: 1001 kB\n"])
def test_psutil_tells_what_is_available_where_the_kernel_does_not(
    stat: MemoryStat, monkeypatch: pytest.MonkeyPatch, kilobytes: str
) -> None:
    """Or where it tells what cannot be."""
    text = MEMINFO.replace("MemAvailable:    700 kB\n", kilobytes)
    (stat.proc / "meminfo").write_text(text)
    shown = SimpleNamespace(total=1000, available=600)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: shown)
    assert stat.memory() == MemorySpace(1000, 600)


@pytest.mark.parametrize(("available", "free"), [(-1, 0), (600, 600), (2000, 1000)])
def test_available_memory_is_part_of_the_total(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, available: int, free: int
) -> None:
    """In some containers one is the host's and the other is not."""
    shown = SimpleNamespace(total=1000, available=available)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: shown)
    assert MemoryStat(tmp_path).memory().available == free


def test_a_machine_without_memory_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What psutil gives where it does not know is no figure."""
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(total=0, available=0))
    with pytest.raises(ValueError, match="memory"):
        MemoryStat(tmp_path).memory()


def test_a_kernel_without_swap_counts_none(stat: MemoryStat) -> None:
    """Nor traffic, which then is not known."""
    (stat.proc / "meminfo").write_text(MEMINFO.replace("SwapTotal", "Total"))
    stat.memory()
    with pytest.raises(ValueError, match="meminfo: no swap space"):
        stat.swap()
    (stat.proc / "meminfo").write_text(MEMINFO)
    (stat.proc / "vmstat").write_text("nr_free_pages 7\n")
    stat.memory()
    assert stat.swap().traffic.counters == SwapTraffic(None, None)


@pytest.mark.parametrize("name", ["meminfo", "vmstat"])
def test_nonsense_is_an_error_that_names_the_file(stat: MemoryStat, name: str) -> None:
    """Whichever it is."""
    (stat.proc / name).write_text("MemTotal: much\npswpin much\n")
    with pytest.raises(ValueError, match=f"{name}: cannot be understood"):
        [stat.memory(), stat.swap()]


def test_free_is_what_is_available() -> None:
    """So that used and free add up."""
    memory = render_memory(MemorySpace(1000, 700, unused=100))
    assert (memory.total, memory.used, memory.free, memory.usage) == (1000, 300, 700, 30.0)


def test_swap_has_the_rates_of_the_window() -> None:
    """And is null where it was not read."""
    lives: Lives[SwapTraffic] = Lives()
    first, last = (
        SwapSpace(1000, free, lives({"": traffic})[""])
        for free, traffic in [(1000, SwapTraffic(0, 50)), (750, SwapTraffic(100, 50))]
    )
    assert render_swap(first, last, 2.0) == Swap(1000, 250, 750, 25.0, 50.0, 0.0)
    assert render_swap(None, last, 2.0) == Swap(1000, 250, 750, 25.0, None, None)
    assert render_swap(first, None, 2.0) is None


def test_no_swap_has_no_usage() -> None:
    """No share of nothing; nor is more free than there is."""
    traffic = Lives[SwapTraffic]()({"": SwapTraffic(0, 0)})[""]
    swap = render_swap(None, SwapSpace(0, 0, traffic), 1.0)
    assert swap is not None
    assert (swap.total, swap.used, swap.usage) == (0, 0, None)


counts = st.none() | st.integers(0, 2**64)


@given(st.lists(st.builds(SwapTraffic, counts, counts), min_size=2, max_size=6), st.floats(0.1, 60))
def test_whatever_the_counters_do_a_rate_is_not_negative(
    stream: list[SwapTraffic], seconds: float
) -> None:
    """Or it is not known."""
    lives: Lives[SwapTraffic] = Lives()
    spaces = [SwapSpace(1, 1, lives({"": traffic})[""]) for traffic in stream]
    for first in spaces:
        swap = render_swap(first, spaces[-1], seconds)
        assert swap is not None
        for rate in (swap.in_bytes_per_sec, swap.out_bytes_per_sec):
            assert rate is None or rate >= 0
