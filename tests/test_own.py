"""What Pulsewire itself costs."""

from __future__ import annotations

import time

import psutil
import pytest

from app.core.figures import Vitals
from app.sources.groups.own import OwnStat, OwnUse, render_own
from schema.metrics import OwnCost


def test_it_is_what_the_system_counts_of_this_process() -> None:
    """Time of all its threads, and memory."""
    stat = OwnStat(time.monotonic)
    began, first = time.monotonic(), stat(0.0)
    while time.process_time() < first.cpu_s + 0.1:
        pass
    last = stat(0.0)
    cost = render_own(first, last, time.monotonic() - began)
    assert cost.cpu is not None
    assert 1 < cost.cpu <= 101
    assert last.rss == pytest.approx(psutil.Process().memory_info().rss, rel=0.1)


def test_collecting_took_from_the_beginning_until_now() -> None:
    """By the clock of windows."""
    now = iter([12.25])
    assert OwnStat(lambda: next(now))(12.0).collect_ms == 250.0


def test_the_hub_tells_of_itself() -> None:
    """If it was asked to."""
    stat = OwnStat(lambda: 1.0)
    silent = render_own(None, stat(1.0), 1.0)
    stat.vitals = lambda: Vitals(clients=3, skips=5, pause=0.0125)
    telling = render_own(None, stat(1.0), 1.0)
    assert (silent.clients, silent.dropped, silent.lag_ms) == (None, None, None)
    assert (telling.clients, telling.dropped, telling.lag_ms) == (3, 5, 12.5)


@pytest.mark.parametrize("seconds", [2.0, 0.0])
def test_the_share_is_of_one_processor_over_the_window(seconds: float) -> None:
    """Null where there is no window."""
    first, last = (OwnUse(cpu_s, 1000, 0.5, None) for cpu_s in (1.0, 4.0))
    expected = 150.0 if seconds else None
    assert render_own(first, last, seconds) == OwnCost(expected, 1000, 0.5, None, None, None)


def test_what_could_not_be_read_is_null() -> None:
    """At the window's end, or at its beginning."""
    use = OwnUse(1.0, 1000, 0.5, None)
    assert render_own(use, None, 1.0) == OwnCost(None, None, None, None, None, None)
    assert render_own(None, use, 1.0).cpu is None
