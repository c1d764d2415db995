"""A reader: the Python client, and all that has come out of it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from attrs import define, field

from app.client import Client, Message, RefusedError, State, Status, Want
from app.client.patience import boottime
from schema.messages import DataMessage, Gap

PATIENCE_S = 15.0
ALPHA = {"alpha": Want(interval=1000)}


@define(eq=False)
class Reader:
    """``messages`` has what came, ``states`` each state; ``ahead`` is how far its clock is."""

    client: Client = field(init=False)
    messages: list[Message] = field(factory=list)
    texts: list[str] = field(factory=list)
    states: list[State] = field(factory=list)
    ended: BaseException | None = None
    reading: asyncio.Event = field(factory=asyncio.Event)
    ahead: float = 0.0

    def clock(self) -> float:
        """Seconds."""
        return boottime() + self.ahead

    def advance(self, seconds: float) -> None:
        """Put its clock forward, and let it see that."""
        self.ahead += seconds
        self.client._feed.chooser._nudge.set()

    @property
    def transports(self) -> list[str]:
        """The transports that it has had, one after the other."""
        names = [state.transport for state in self.states if state.transport]
        return [name for at, name in enumerate(names) if at == 0 or names[at - 1] != name]

    @property
    def data(self) -> list[DataMessage]:
        """The messages of the channels."""
        return [message for message in self.messages if isinstance(message, DataMessage)]

    @property
    def seqs(self) -> list[int]:
        """What has come, by its place in the log."""
        return [message.cursor.seq for message in self.data]

    @property
    def gaps(self) -> list[Gap]:
        """What is not coming."""
        return [message for message in self.messages if isinstance(message, Gap)]

    async def until(self, condition: Callable[[], object], *, advancing: float = 0.0) -> None:
        """Wait until something has become true; at each look its clock may be put forward."""
        patience = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < patience, f"never: {self.states[-3:]} {self.messages[-3:]}"
            await asyncio.sleep(0.005)
            self.advance(advancing)

    async def arrived(self) -> None:
        """Wait for the first message of a channel."""
        await self.until(lambda: self.data)

    async def again(self, transport: str) -> None:
        """Wait for the next attempt, and until it has worked."""
        await self.until(lambda: self.client.state.status is Status.RECONNECTING)
        self.advance(1)
        await self.on(transport)

    async def on(self, transport: str) -> None:
        """Wait until a transport brings the messages."""
        await self.until(lambda: self.client.state.transport == transport)

    def cleared(self) -> bool:
        """Tell whether a plain request has shown that the way is free for a candidate."""
        return any(wire.cleared_at is not None for wire in self.client._feed.chooser._wires)

    async def refused(self) -> RefusedError:
        """Wait until the server has refused for good, and return how."""
        await self.until(lambda: self.ended is not None)
        assert isinstance(self.ended, RefusedError), self.ended
        return self.ended

    async def read(self) -> None:
        """Read all there is."""
        try:
            while True:
                await self.reading.wait()
                received = await self.client._feed.inbox.take()
                self.messages.append(received.message)
                self.texts.append(received.text)
        except (StopAsyncIteration, RefusedError) as error:
            self.ended = error


@contextlib.asynccontextmanager
async def reading(
    url: str,
    channels: Mapping[str, Want] = ALPHA,
    **options: Any,  # noqa: ANN401 - of the client
) -> AsyncIterator[Reader]:
    """Read from a server, without chance; nothing of it may be left in the end."""
    before = asyncio.all_tasks()
    reader = Reader()
    reader.reading.set()
    reader.client = Client(
        url,
        channels,
        on_state=reader.states.append,
        clock=reader.clock,
        chance=lambda: 0.0,
        proxy=False,
        **options,
    )
    async with reader.client:
        pump = asyncio.ensure_future(reader.read())
        try:
            yield reader
        finally:
            pump.cancel()
            await asyncio.gather(pump, return_exceptions=True)
    ours = [task for task in asyncio.all_tasks() - before if "app.client" in repr(task)]
    assert not ours, "a task is left"
