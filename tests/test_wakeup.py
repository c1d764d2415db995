"""The wake-up call: one sleeper, and no call is lost."""

from __future__ import annotations

import asyncio

from transports.wakeup import Wakeup


async def asleep(wakeup: Wakeup) -> asyncio.Task[None]:
    """Put a task to sleep."""
    task = asyncio.ensure_future(wakeup.wait())
    await asyncio.sleep(0)
    assert not task.done()
    return task


async def test_a_sleeper_is_woken_and_can_sleep_again() -> None:
    """Each return takes a new call."""
    wakeup = Wakeup()

    for _ in range(3):
        task = await asleep(wakeup)
        wakeup.set()
        await asyncio.wait_for(task, 5)


async def test_a_call_that_comes_before_the_wait_is_not_lost() -> None:
    """It is used up by the wait, and several are one."""
    wakeup = Wakeup()
    wakeup.set()
    wakeup.set()

    await asyncio.wait_for(wakeup.wait(), 5)

    task = await asleep(wakeup)
    wakeup.set()
    wakeup.set()
    await task
    await asleep_until_cancelled(wakeup)


async def test_a_call_while_the_sleeper_gets_up_is_used_up() -> None:
    """It looks at everything anyway."""
    wakeup = Wakeup()
    task = await asleep(wakeup)
    wakeup.set()
    # The sleeper's future is done, the sleeper itself has not run yet.
    wakeup.set()
    await task

    await asleep_until_cancelled(wakeup)


async def test_a_sleeper_that_was_cancelled_leaves_nothing_behind() -> None:
    """The next one is woken; and a call that the cancelling overtook is not lost."""
    wakeup = Wakeup()
    await asleep_until_cancelled(wakeup)
    task = await asleep(wakeup)
    wakeup.set()
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()

    await asyncio.wait_for(wakeup.wait(), 5)


async def asleep_until_cancelled(wakeup: Wakeup) -> None:
    """Show that the wake-up call lets one sleep."""
    task = await asleep(wakeup)
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()
