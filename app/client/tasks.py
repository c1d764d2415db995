"""The tasks of a client: none is left behind, and none fails unheard."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial

from attrs import define, field

Task = asyncio.Task[None]


@define(eq=False)
class Tasks:
    """Errands, which are cancelled in the end, and the lives of wires, which close by themselves.

    ``failed`` is told of every error.
    """

    _failed: Callable[[Exception], None]
    _errands: set[Task] = field(factory=set)
    _lives: set[Task] = field(factory=set)

    def spawn(self, work: Coroutine[None, None, None]) -> None:
        """Have an errand done."""
        self._keep(asyncio.ensure_future(work), self._errands)

    def watch(self, life: Task) -> None:
        """Keep the task of a wire."""
        self._keep(life, self._lives)

    async def ended(self) -> None:
        """Cancel the errands, and wait for the end of all."""
        for task in self._errands:
            task.cancel()
        await asyncio.gather(*self._errands, *self._lives, return_exceptions=True)

    def _keep(self, task: Task, among: set[Task]) -> None:
        among.add(task)
        task.add_done_callback(partial(self._done, among))

    def _done(self, among: set[Task], task: Task) -> None:
        among.discard(task)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Exception):
            self._failed(error)
