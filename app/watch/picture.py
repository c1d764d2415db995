"""All that is known of a host: what the view shows."""

from __future__ import annotations

from collections import deque
from typing import Any

from attrs import define, field

from app.client import Message
from schema.codec import structure_server
from schema.containers import ContainersMessage
from schema.errors import ErrorCode, InvalidMessage
from schema.messages import Error, Gap, History
from schema.metrics import Full, MetricsMessage, Simple, Standard
from schema.processes import ProcessesMessage

PAST = 512
"""How many figures of the past are kept: as many as a wide terminal shows."""

Data = Standard | Full


@define
class Picture:
    """The newest message of each channel, the past of the processors, and what went wrong.

    ``cpu`` holds None where a hole is, ``troubles`` what each channel has instead of data, and
    ``came_at`` when the newest figures came, in seconds of the reader's clock.
    """

    data: Data | None = None
    host: str = ""
    interval_ms: int = 0
    containers: ContainersMessage | None = None
    processes: ProcessesMessage | None = None
    cpu: deque[float | None] = field(factory=lambda: deque(maxlen=PAST))
    troubles: dict[str, str] = field(factory=dict)
    came_at: float | None = None

    def take(self, message: Message, now: float) -> None:
        """Put a message into it."""
        if isinstance(message, MetricsMessage):
            self._measure(message)
            self.came_at = now
        elif isinstance(message, ContainersMessage):
            self.containers = message
        elif isinstance(message, ProcessesMessage):
            self.processes = message
        elif isinstance(message, Gap):
            self._hole(message)
        elif isinstance(message, History):
            self._recall(message)
        elif isinstance(message, Error):
            self._note(message)
        self.troubles.pop(message.TAG, None)

    def forget(self, channel: str) -> None:
        """Forget what a channel told, which holds no more."""
        self.troubles.pop(channel, None)
        if channel == ContainersMessage.TAG:
            self.containers = None
        elif channel == ProcessesMessage.TAG:
            self.processes = None

    def _measure(self, message: MetricsMessage) -> None:
        data = message.data
        if isinstance(data, Simple):  # nobody here asks for it
            return
        self.data, self.host, self.interval_ms = data, message.host, message.interval_ms
        self.cpu.append(data.cpu.usage)

    def _hole(self, gap: Gap) -> None:
        if gap.channel == MetricsMessage.TAG and self.cpu:
            self.cpu.append(None)

    def _recall(self, history: History) -> None:
        if history.channel == MetricsMessage.TAG:
            self.cpu.clear()
            for item in history.items:
                self._recall_item(item)

    def _recall_item(self, item: Any) -> None:  # noqa: ANN401 - any JSON
        try:
            message = structure_server(item)
        except InvalidMessage:
            return
        if isinstance(message, Gap):
            self._hole(message)
        elif isinstance(message, MetricsMessage) and not isinstance(message.data, Simple):
            self.cpu.append(message.data.cpu.usage)

    def _note(self, error: Error) -> None:
        # What a server does not have is not missed.
        if error.channel is not None and error.code is not ErrorCode.UNKNOWN_CHANNEL:
            self.forget(error.channel)
            self.troubles[error.channel] = error.message
