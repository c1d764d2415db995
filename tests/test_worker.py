"""The worker: one daemon thread for calls that may block, or never return."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import NoReturn

import pytest

from app.core.worker import Worker

NAME = "a-worker-of-the-tests"


@pytest.fixture
def worker() -> Iterator[Worker]:
    """A worker whose thread has gone when the test is over."""
    worker = Worker(NAME)
    yield worker
    worker.stop()
    for thread in threads():
        thread.join(5)
    assert not threads()


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == NAME]


def raising(error: BaseException) -> Callable[[], NoReturn]:
    """Make a function that raises."""

    def function() -> NoReturn:
        raise error

    return function


async def test_calls_run_one_after_the_other_on_one_thread_of_their_own(worker: Worker) -> None:
    """A daemon, so that one that hangs does not hold up the interpreter's end."""
    calls = [worker.call(threading.current_thread) for _ in range(5)]

    ran_on = set(await asyncio.gather(*calls))

    assert ran_on == set(threads())
    assert [thread.daemon for thread in ran_on] == [True]
    assert threading.current_thread() not in ran_on


async def test_the_loop_goes_on_while_a_call_blocks(worker: Worker) -> None:
    """The result comes when the call returns."""
    gate = threading.Event()
    call = worker.call(gate.wait)
    done, _ = await asyncio.wait({call}, timeout=0.001)
    assert not done

    gate.set()

    assert await call is True


async def test_a_call_that_fails_hands_its_error_over_and_the_next_one_runs(
    worker: Worker,
) -> None:
    """The very exception that was raised."""
    error = ValueError("no such counter")

    failing, working = worker.call(raising(error)), worker.call(lambda: 5)

    assert await working == 5
    assert failing.exception() is error


@pytest.mark.parametrize(
    "error", [StopIteration("exhausted"), SystemExit(3), asyncio.CancelledError()], ids=repr
)
async def test_what_no_future_may_hold_is_an_ordinary_failure(
    worker: Worker, error: BaseException
) -> None:
    """Neither does the caller wait for ever, nor does it end, nor the thread."""
    call = worker.call(raising(error))
    done, _ = await asyncio.wait({call}, timeout=5)

    assert done == {call}
    assert isinstance(call.exception(), RuntimeError)
    assert str(call.exception()) == repr(error)
    assert await worker.call(lambda: "alive") == "alive"


async def test_a_result_that_nobody_waits_for_any_more_is_dropped(worker: Worker) -> None:
    """A cancelled call is let run, and disturbs nobody."""
    gate = threading.Event()
    abandoned = worker.call(gate.wait)
    abandoned.cancel()
    gate.set()

    assert await worker.call(lambda: "next") == "next"
    assert abandoned.cancelled()


def test_a_result_that_comes_after_the_loop_has_ended_is_dropped(worker: Worker) -> None:
    """The thread does not die of it."""
    gate, returned = threading.Event(), threading.Event()

    async def leave_it_hanging() -> None:
        worker.call(gate.wait)

    async def ask_again() -> bool:
        return await worker.call(returned.is_set)

    asyncio.run(leave_it_hanging())
    gate.set()
    returned.set()

    assert asyncio.run(ask_again()) is True


async def test_stopping_does_not_wait_for_a_call_that_hangs(worker: Worker) -> None:
    """The thread ends when the call returns, if ever."""
    gate = threading.Event()
    call = worker.call(gate.wait)

    worker.stop()
    worker.stop()

    (thread,) = threads()
    gate.set()
    assert await call is True
    thread.join(5)
    assert not thread.is_alive()


def test_a_worker_that_was_never_asked_has_no_thread(worker: Worker) -> None:
    """Nothing is started ahead of need."""
    worker.stop()

    assert not threads()
