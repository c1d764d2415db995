"""Pressure: what tasks had to wait for."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.sources.counters import Lives
from app.sources.groups.pressure import (
    PressureCounts,
    PressureStat,
    StallCount,
    Waits,
    render_pressure,
)
from schema.pressure import Stall

NOTHING = PressureCounts(None, None, None, None)


def line(kind: str, total: int) -> str:
    return f"{kind} avg10=1.50 avg60=2.50 avg300=3.50 total={total}\n"


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """Make a kernel of 5.12: without `full` for processors, and without interrupts."""
    (tmp_path / "pressure").mkdir()
    put(tmp_path, "cpu", line("some", 1_000_000))
    put(tmp_path, "memory", line("some", 0) + line("full", 0))
    put(tmp_path, "io", line("some", 500_000) + line("full", 250_000))
    return tmp_path


def put(proc: Path, name: str, text: str) -> None:
    (proc / "pressure" / name).write_text(text)


def test_the_waits_are_shares_of_the_window(proc: Path) -> None:
    """Exactly; the means are the kernel's own."""
    stat = PressureStat(proc)
    first = stat()
    put(proc, "cpu", line("some", 1_500_000))
    put(proc, "io", line("some", 750_000) + line("full", 250_000))
    last = stat()
    pressure = render_pressure(first, last, 2.0)
    assert pressure is not None
    assert pressure.cpu == Stall(25.0, None, 1.5, 2.5, 3.5, None, None, None)
    assert pressure.memory == Stall(0.0, 0.0, 1.5, 2.5, 3.5, 1.5, 2.5, 3.5)
    assert pressure.io == Stall(12.5, 0.0, 1.5, 2.5, 3.5, 1.5, 2.5, 3.5)
    assert pressure.irq is None


def test_interrupts_have_full_alone(proc: Path) -> None:
    """As the kernel counts them, since 6.1."""
    put(proc, "irq", line("full", 0))
    pressure = render_pressure(None, PressureStat(proc)(), 1.0)
    assert pressure is not None
    assert pressure.irq == Stall(None, None, None, None, None, 1.5, 2.5, 3.5)


def test_the_shares_of_a_window_that_began_with_nothing_are_not_known(proc: Path) -> None:
    """The kernel's means are there all the same; without an end there is nothing."""
    counts = PressureStat(proc)()
    pressure = render_pressure(None, counts, 1.0)
    assert pressure is not None
    assert pressure.io == Stall(None, None, 1.5, 2.5, 3.5, 1.5, 2.5, 3.5)
    assert render_pressure(counts, None, 1.0) is None


def test_a_window_of_no_length_has_no_shares(proc: Path) -> None:
    """There is nothing that they could be shares of."""
    counts = PressureStat(proc)()
    pressure = render_pressure(counts, counts, 0.0)
    assert pressure is not None
    assert pressure.io is not None
    assert pressure.io.some is None


def test_a_kernel_without_pressure_has_none(tmp_path: Path) -> None:
    """Not an error."""
    assert PressureStat(tmp_path)() is None


def test_a_kernel_that_has_it_switched_off_has_none(
    proc: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Booted with psi=0 the files are there, and cannot be opened."""

    def off(*_: Any) -> int:  # noqa: ANN401
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr(os, "open", off)
    assert PressureStat(proc)() is None


def test_another_failure_is_an_error(proc: Path) -> None:
    """Of the whole group."""
    (proc / "pressure" / "irq").mkdir()
    with pytest.raises(IsADirectoryError):
        PressureStat(proc)()


@pytest.mark.parametrize(
    "text",
    ["some\n", "some avg10=1 avg60=1 avg300=1\n", "some avg10\n", line("some", 1)[:-2] + "x"],
)
def test_nonsense_is_an_error_that_names_the_file(proc: Path, text: str) -> None:
    """Nothing is made up of a part."""
    put(proc, "io", text)
    with pytest.raises(ValueError, match="pressure/io: cannot be understood"):
        PressureStat(proc)()


def test_this_machine_tells_it_or_not() -> None:
    """A window of its own kernel is within bounds."""
    stat = PressureStat()
    began, first = time.monotonic(), stat()
    while time.monotonic() - began < 0.1:
        sum(range(1000))
    pressure = render_pressure(first, stat(), time.monotonic() - began)
    for stall in (pressure.cpu, pressure.memory, pressure.io) if pressure else ():
        assert stall is None or stall.some is None or 0 <= stall.some <= 100


totals = st.none() | st.integers(0, 2**64)


@given(st.lists(st.builds(Waits, totals, totals), min_size=2, max_size=6), st.floats(0.1, 60))
def test_whatever_the_counters_do_a_share_is_0_to_100(stream: list[Waits], seconds: float) -> None:
    """Or not known."""
    lives: Lives[Waits] = Lives()
    counts = [
        NOTHING._replace(io=StallCount(lives({"io": waits})["io"], None, None)) for waits in stream
    ]
    for first in counts:
        pressure = render_pressure(first, counts[-1], seconds)
        assert pressure is not None
        assert pressure.io is not None
        for share in (pressure.io.some, pressure.io.full):
            assert share is None or 0 <= share <= 100
