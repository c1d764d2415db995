"""The clock: what the real one tells and how it waits, and the one that tests move by hand."""

from __future__ import annotations

import asyncio
import time

import pytest

from app.core.clock import Clock, sleep_until
from tests.manual_clock import ManualClock


def test_the_real_clock_tells_the_machine_s_times() -> None:
    """Monotonic seconds, those since boot, and those since the epoch."""
    clock = Clock()
    before = time.monotonic(), time.clock_gettime(time.CLOCK_BOOTTIME), time.time()

    told = clock.monotonic(), clock.boottime(), clock.wall()

    after = time.monotonic(), time.clock_gettime(time.CLOCK_BOOTTIME), time.time()
    assert all(low <= now <= high for low, now, high in zip(before, told, after, strict=True))


def test_a_timestamp_is_whole_milliseconds_of_the_wall_clock() -> None:
    """As JSON messages bear it."""
    assert Clock(wall=lambda: 1_700_000_000.9876).timestamp() == 1_700_000_000_987


async def test_sleepers_wake_when_their_moment_has_come() -> None:
    """By the monotonic clock, whatever the origin of the loop's own."""
    moment = time.monotonic() + 0.01

    await asyncio.gather(sleep_until(moment), Clock().sleep_until(moment))

    # asyncio lets timers fire early by as much as its clock can tell apart.
    assert time.monotonic() >= moment - time.get_clock_info("monotonic").resolution


async def test_a_moment_that_is_over_is_not_waited_for() -> None:
    """The loop has its turn, and no more."""
    await asyncio.wait_for(sleep_until(time.monotonic() - 3600), 5)


async def test_a_sleeper_that_is_cancelled_does_not_wait() -> None:
    """Its timer goes with it."""
    sleeper = asyncio.ensure_future(sleep_until(time.monotonic() + 3600))
    await asyncio.sleep(0)

    sleeper.cancel()

    await asyncio.wait({sleeper}, timeout=5)
    assert sleeper.cancelled()


async def test_a_sleeper_may_be_cancelled_in_the_moment_in_which_it_wakes() -> None:
    """The timer fires between the cancelling and its effect."""
    sleeper = asyncio.ensure_future(sleep_until(time.monotonic() + 0.002))
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_later(0.001, sleeper.cancel)
    # A busy loop: both timers are overdue at its next turn, the cancelling first.
    time.sleep(0.003)  # noqa: ASYNC251

    await asyncio.wait({sleeper}, timeout=5)

    assert sleeper.cancelled()


async def test_a_manual_clock_stands_still_until_it_is_moved() -> None:
    """Monotonic, boot and wall time go together, but for suspends and steps."""
    manual = ManualClock(now=10.0, suspended=5.0, stepped=1000.0)
    clock = manual.clock

    manual.advance(2)
    assert (clock.monotonic(), clock.boottime(), clock.timestamp()) == (12, 17, 1_012_000)
    manual.suspend(100)
    assert (clock.monotonic(), clock.boottime(), clock.timestamp()) == (12, 117, 1_112_000)
    manual.step(-50)
    assert (clock.monotonic(), clock.boottime(), clock.timestamp()) == (12, 117, 1_062_000)
    manual.advance_to(11)
    assert clock.monotonic() == 12


async def test_a_manual_clock_wakes_its_sleepers_in_their_time() -> None:
    """Whoever sleeps is seen, woken when the time is moved, and forgotten when cancelled."""
    manual = ManualClock(now=0.0)
    sleepers = [asyncio.ensure_future(manual.clock.sleep_until(moment)) for moment in (2, 1, 3)]

    assert await manual.sleeping(3) == 1
    await manual.wake()
    await sleepers[1]
    assert (manual.now, await manual.sleeping()) == (1, 2)
    sleepers[0].cancel()
    with pytest.raises(asyncio.CancelledError):
        await sleepers[0]
    assert await manual.sleeping() == 3
    manual.advance(10)
    await sleepers[2]
    await manual.clock.sleep_until(5)
