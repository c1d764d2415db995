"""A thread of one's own for calls that may block, or never return."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")
Call = tuple["asyncio.Future[Any]", Callable[[], Any]]


class Worker:
    """One daemon thread that runs one call after the other.

    Not a pool: a call that hangs (``statvfs`` on a dead mount) would hold a pool's thread, and
    the interpreter waits for those at exit; for a daemon it does not.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._calls: queue.SimpleQueue[Call | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def call(self, function: Callable[[], T]) -> asyncio.Future[T]:
        """Run a function on the thread; the future belongs to the running loop."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._calls.put((future, function))
        return future

    def stop(self) -> None:
        """Let the thread end when it is done with what it does; does not wait for it."""
        if self._thread is not None:
            self._calls.put(None)
            self._thread = None

    def _run(self) -> None:
        while (call := self._calls.get()) is not None:
            future, function = call
            result, error = None, None
            try:
                result = function()
            except BaseException as caught:  # noqa: BLE001 - handed to whoever awaits the future
                error = _bearable(caught)
            # The loop may be gone by the time a slow call returns.
            with contextlib.suppress(RuntimeError):
                future.get_loop().call_soon_threadsafe(_settle, future, result, error)


def _bearable(error: BaseException) -> Exception:
    """Return an error that a future can hold: no StopIteration, and nothing that ends a program."""
    if isinstance(error, Exception) and not isinstance(error, StopIteration):
        return error
    return RuntimeError(repr(error))


def _settle(future: asyncio.Future[Any], result: object, error: Exception | None) -> None:
    if future.cancelled():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
