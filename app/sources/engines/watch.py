"""An engine's containers, watched: which there are, by its events, and what each of them uses.

It lives on an event loop of its own, and goes on between two looks: events are heard when they
happen, and a deadline is one. A look waits for the containers that answer promptly and for no
other; what the others answer, if they do, is there at a later look.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import Self

from attrs import define, field, frozen

from app.sources.counters import Counted, Lives
from app.sources.engines import container
from app.sources.engines.container import Counters, Facts, Listed, Usage
from app.sources.engines.engine import Body, ContainerGoneError, Engine, EngineError, Host

# The list is asked for when an event says so, and so often in any case: its texts grow old.
REFRESH_S = 10.0
LIST_S = 2.0
# How long a container may take to answer...
DEADLINE_S = 0.9
# ...where the engine lets it wait for its own rhythm of a second, or of two before 20.10...
PATIENT_DEADLINE_S = 3.0
# ...and how long a look waits for those that were in time before.
LOOK_S = DEADLINE_S + 0.05
# One that takes longer is not waited for the next time.
PROMPT_S = 0.3
# Together eight calls at once; those that hung do not take the places of the others.
LANE = 6
HUNG_LANE = 2
# An engine with its own rhythm answers all who ask within a second together.
WIDE_LANE = 1000


@frozen(eq=False)
class Known:
    """What is known of a container at one look; the same object as before if nothing is new.

    ``counted`` has its newest counters and tells in which of its lives, ``earlier`` are those that
    were read before these, if that was in the same life. ``error`` is why it could not be measured
    anew.
    """

    listed: Listed
    facts: Facts | None
    usage: Usage | None
    counted: Counted[Counters] | None
    earlier: Counters | None
    error: str | None


@define(eq=False)
class _Watched:
    """A container and what became of asking after it; ``started`` counts its starts."""

    listed: Listed
    facts: Facts | None = None
    changed: bool = True
    started: int = 0
    usage: Usage | None = None
    error: str | None = None
    took: float = 0.0
    call: asyncio.Task[None] | None = None
    known: Known | None = None

    @property
    def key(self) -> str:
        """Name of what its counters are sums over: another name, another life."""
        parts = self.usage.parts if self.usage else ""
        return f"{self.listed.identity} {self.started} {parts}"

    def tell(self, counted: Counted[Counters] | None) -> Known:
        """Tell what is known of it now; ``counted`` are its newest counters."""
        earlier, before = None, self.known
        if counted and before and before.counted and before.counted.life == counted.life:
            grew = before.counted.counters.read < counted.counters.read
            earlier = before.counted.counters if grew else before.earlier
        if before is None or not self._says_nothing_new(before):
            self.known = before = Known(
                self.listed, self.facts, self.usage, counted, earlier, self.error
            )
        return before

    def _says_nothing_new(self, before: Known) -> bool:
        return (
            before.listed is self.listed
            and before.facts is self.facts
            and before.usage is self.usage
            and before.error == self.error
        )

    def forget(self) -> None:
        """Let go of what was measured."""
        self.usage, self.error, self.took = None, None, 0.0
        if self.call is not None:
            self.call.cancel()


@define(eq=False)
class Watch:
    """Watches the containers of one engine, as an async context manager; closes the engine."""

    engine: Engine
    host: Host
    lives: Lives[Counters]
    clock: Callable[[], float]
    _watched: dict[str, _Watched] = field(init=False, factory=dict)
    _stale: bool = field(init=False, default=True)
    _listed_at: float = field(init=False, default=0.0)
    _listening: asyncio.Task[None] | None = field(init=False, default=None)
    _lane: asyncio.Semaphore = field(init=False)
    _hung_lane: asyncio.Semaphore = field(init=False)
    _deadline: float = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._lane = asyncio.Semaphore(LANE if self.host.prompt else WIDE_LANE)
        self._hung_lane = asyncio.Semaphore(HUNG_LANE if self.host.prompt else WIDE_LANE)
        self._deadline = DEADLINE_S if self.host.prompt else PATIENT_DEADLINE_S

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        tasks = [watched.call for watched in self._watched.values() if watched.call]
        tasks += [self._listening] if self._listening else []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.engine.aclose()

    async def look(self) -> Mapping[str, Known]:
        """Measure, and tell what is known of each container, by its identity, in order of names.

        Raises:
            EngineError: the engine is gone, or does not tell which containers there are.
        """
        if self._listening is None or self._listening.done():
            # An engine without events is asked for its list every time.
            self._listening = asyncio.create_task(self._listen())
            self._stale = True
        if self._stale or self.clock() >= self._listed_at + REFRESH_S:
            await self._list()
        await self._measure_all()
        return self._known()

    async def _listen(self) -> None:
        with contextlib.suppress(EngineError):
            async with self.engine.events() as events:
                # What happened before it listened is in no event.
                self._stale = True
                async for event in events:
                    self._heed(event)

    def _heed(self, event: Body) -> None:
        action, actor = event.get("Action"), event.get("Actor")
        # Programs that are started inside, often by a health check, change nothing.
        if not isinstance(action, str) or action.startswith("exec"):
            return
        self._stale = True
        identity = actor.get("ID") if isinstance(actor, dict) else None
        watched = self._watched.get(identity) if isinstance(identity, str) else None
        if watched is not None and action == "start":
            watched.forget()
            watched.started += 1
        if watched is not None and action.startswith(("start", "update", "health_status")):
            watched.changed = True

    async def _list(self) -> None:
        self._stale = False
        try:
            async with asyncio.timeout(LIST_S):
                bodies = await self.engine.containers()
        except TimeoutError:
            raise EngineError(f"it lists no containers within {LIST_S:g} s") from None
        self._listed_at = self.clock()
        entries = [entry for body in bodies if (entry := container.listed(body))]
        before, self._watched = self._watched, {}
        for entry in sorted(entries, key=lambda entry: (entry.name, entry.identity)):
            watched = before.pop(entry.identity, None) or _Watched(entry)
            watched.listed = entry if watched.listed != entry else watched.listed
            self._watched[entry.identity] = watched
        for watched in [*before.values(), *self._watched.values()]:
            if watched.listed.identity in before or not watched.listed.live:
                watched.forget()

    async def _measure_all(self) -> None:
        live = [watched for watched in self._watched.values() if watched.listed.live]
        awaited, patience = [], LOOK_S
        for watched in sorted(live, key=lambda watched: watched.took):
            call, wait = watched.call, watched.took <= PROMPT_S
            if call is None or call.done():
                call = watched.call = asyncio.create_task(self._measure(watched))
            elif wait:
                # The look before did not see the end of it, so this one does not wait for long.
                patience = PROMPT_S
            if wait and (self.host.prompt or watched.usage is None):
                awaited.append(call)
        if awaited:
            await asyncio.wait(awaited, timeout=patience)

    async def _measure(self, watched: _Watched) -> None:
        async with self._hung_lane if watched.took >= self._deadline else self._lane:
            began = self.clock()
            try:
                async with asyncio.timeout(self._deadline):
                    watched.usage = await self._ask(watched)
                watched.error = None
            except ContainerGoneError:
                self._stale = True
            except TimeoutError:
                watched.error = f"no answer within {self._deadline * 1000:g} ms"
            except EngineError as error:
                watched.error = str(error)
            watched.took = self.clock() - began

    async def _ask(self, watched: _Watched) -> Usage:
        identity = watched.listed.identity
        if watched.changed:
            # Before it is asked: what changes meanwhile is asked for again.
            watched.changed = False
            try:
                watched.facts = container.facts(await self.engine.inspect(identity))
            except BaseException:
                watched.changed = True
                raise
        usage = container.usage(await self.engine.stats(identity), self.clock())
        if usage is None:
            raise EngineError("the engine has no figures of it")
        return usage

    def _known(self) -> Mapping[str, Known]:
        measured = {
            watched.key: watched.usage.counters
            for watched in self._watched.values()
            if watched.usage
        }
        counted = self.lives(measured)
        return {
            identity: watched.tell(counted.get(watched.key))
            for identity, watched in self._watched.items()
        }
