"""Watching a server: what is asked for, and what is seen."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from attrs import define, field
from rich.text import Text

from app.client import Client, Message, Want
from app.watch.figures import Pen
from app.watch.picture import Picture
from app.watch.screen import Connection, render
from schema.containers import ContainersMessage
from schema.fields import Detail
from schema.messages import Connected
from schema.metrics import MetricsMessage
from schema.processes import ProcessesMessage

HISTORY = 120
OTHERS = (ProcessesMessage.TAG, ContainersMessage.TAG)
"""Channels that are shown where a server has them."""


def metrics(interval: int) -> Want:
    """Say how the metrics are wanted, in ms: in full, or else as they are to be had."""
    return Want(interval, Detail.FULL, HISTORY, otherwise=Detail.STANDARD)


@define(eq=False)
class Watch:
    """What is seen of a server at a ``place``, every ``interval`` ms."""

    client: Client
    place: str
    interval: int
    _clock: Callable[[], float] = time.monotonic
    picture: Picture = field(factory=Picture)

    def take(self, message: Message) -> None:
        """Take a message, and ask for what else the server has."""
        self.picture.take(message, self._clock())
        if isinstance(message, Connected):
            self._ask(message.channels)
        elif isinstance(message, MetricsMessage) and self.client.state.server is None:
            # A poller is not told what there is. It asks, and may be refused.
            self._ask(OTHERS)

    def _ask(self, channels: Sequence[str]) -> None:
        for channel in OTHERS:
            if channel in channels:
                self.client.subscribe(channel, Want(self.interval))
            else:
                self.client.unsubscribe(channel)
                self.picture.forget(channel)

    def draw(self, pen: Pen, width: int, height: int | None) -> list[Text]:
        """Draw what is seen; without a height, all of it."""
        client, came_at = self.client, self.picture.came_at
        age = None if came_at is None else self._clock() - came_at
        connection = Connection(client.state, self.place, client.latency, client.retry_in, age)
        return render(self.picture, connection, pen, width, height)
