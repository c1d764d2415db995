"""Counters of processors, out of one reading."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from app.sources.groups.procstat import HERTZ, Activity, CoreTime, ProcessorStat

STAT = """\
cpu  400 20 100 4000 80 4 6 10 300 5
cpu0 100 10 50 2000 40 2 3 5 100 5
cpu3 300 10 50 2000 40 2 3 5 200 0
intr 123456 0 7 8
ctxt 654321
btime 1700000000
processes 9
procs_running 1
"""
TICK = 1_000_000 // HERTZ


@pytest.fixture
def stat(tmp_path: Path) -> ProcessorStat:
    (tmp_path / "stat").write_text(STAT)
    return ProcessorStat(tmp_path)


def test_one_reading_gives_all(stat: ProcessorStat) -> None:
    """Times in sum and one by one, switches, interrupts, boot; guests are in user already."""
    times = stat.times()
    counts = stat.newest
    assert counts is not None
    assert vars(times) == {
        "user": 400 / HERTZ, "nice": 20 / HERTZ, "system": 100 / HERTZ, "idle": 4000 / HERTZ,
        "iowait": 80 / HERTZ, "irq": 4 / HERTZ, "softirq": 6 / HERTZ, "steal": 10 / HERTZ,
    }  # fmt: skip
    assert counts.cores == {
        0: CoreTime(170 * TICK, 2040 * TICK),
        3: CoreTime(370 * TICK, 2040 * TICK),
    }
    assert counts.activity == Activity(654321, 123456)
    assert (stat.processors(), stat.boot()) == (2, 1_700_000_000)


def test_an_old_kernel_counts_less(stat: ProcessorStat) -> None:
    """Nothing is made up for what is not there."""
    (stat.proc / "stat").write_text("cpu  4 2 1 40\ncpu0 4 2 1 40\n")
    times = stat.times()
    assert not hasattr(times, "iowait")
    assert stat.newest is not None
    assert stat.newest.cores == {0: CoreTime(7 * TICK, 40 * TICK)}
    assert (stat.newest.activity, stat.boot()) == (Activity(None, None), None)


@pytest.mark.parametrize("text", ["", "cpu0 1 2 3 4\n", "cpu  1 2 three\n", "cpu  1\nctxt\n"])
def test_what_cannot_be_understood_is_an_error(stat: ProcessorStat, text: str) -> None:
    """And the counters of the reading before are not taken for new ones."""
    stat.times()
    (stat.proc / "stat").write_text(text)
    with pytest.raises(ValueError, match="stat: cannot be understood"):
        stat.times()
    assert (stat.newest, stat.processors(), stat.boot()) == (None, 0, None)


def test_psutil_stands_in_where_there_is_no_such_file(tmp_path: Path) -> None:
    """With the same figures."""
    read, other = ProcessorStat(), ProcessorStat(tmp_path)
    times, others = read.times(), other.times()
    assert read.newest is not None
    assert other.newest is not None
    assert vars(times) == pytest.approx(
        {name: getattr(others, name) for name in vars(times)}, abs=2
    )
    assert read.newest.cores.keys() == other.newest.cores.keys()
    for number, core in read.newest.cores.items():
        assert core == pytest.approx(other.newest.cores[number], abs=2_000_000)
    assert read.newest.activity == pytest.approx(other.newest.activity, rel=0.01)
    assert read.boot() == other.boot() == round(psutil.boot_time())
