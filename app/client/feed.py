"""One logical stream of messages, whatever wires it comes over: exactly once and in order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from attrs import define, evolve, field

from app.client.chooser import Chooser
from app.client.cursors import Cursors
from app.client.inbox import Inbox
from app.client.link import Link
from app.client.messages import Received
from app.client.state import RefusedError, State, Status
from app.client.want import Want
from app.client.wire import End, Wire
from schema.cursor import Cursor
from schema.errors import ErrorCode
from schema.messages import Batch, Connected, DataMessage, Error, Gap, Heartbeat, History

# A message that came before another wire brought it, nobody knows when.
LONG_AGO_S = float("inf")
# Refusals that say nothing about what was asked for.
_PASSING = {ErrorCode.CHANNEL_UNAVAILABLE, ErrorCode.RATE_LIMITED, ErrorCode.OVERLOADED}


@define(eq=False)
class Feed:
    """What is wanted, how far it has come, and what of the messages the reader gets."""

    _wanted: dict[str, Want]
    _clock: Callable[[], float]
    _on_state: Callable[[State], object]
    inbox: Inbox = field(factory=Inbox)
    cursors: Cursors = field(factory=Cursors)
    state: State = field(factory=State)
    wire: Wire | None = None
    chooser: Chooser = field(init=False)
    # Channels that the server does not have.
    _refused: set[str] = field(factory=set)
    # Of each channel the newest cursor, and when it came.
    _latest: dict[str, tuple[Cursor, float]] = field(factory=dict)
    _met: bool = False

    def begin(self, link: Link, names: tuple[str, ...], chance: Callable[[], float]) -> None:
        """Make the chooser that fills it, which is still to be run."""
        self.chooser = Chooser(link, self._clock, chance, names, self)

    # What the reader says

    def subscribe(self, channel: str, want: Want) -> None:
        """Subscribe to a channel, or change how: then it begins anew, with a snapshot."""
        if self._wanted.get(channel) != want or channel in self._refused:
            self._forget(channel)
            self._wanted[channel] = want
            self.chooser.update(channel)

    def unsubscribe(self, channel: str) -> None:
        """Give a channel back."""
        if self._wanted.pop(channel, None) is not None:
            self._forget(channel)
            self.chooser.update(channel)

    def _forget(self, channel: str) -> None:
        self.cursors.forget(channel)
        self._refused.discard(channel)
        self._latest.pop(channel, None)

    def close(self) -> None:
        """Take note that nobody reads any more."""
        self.inbox.clear()
        self.inbox.close()
        self._say(status=Status.CLOSED, transport=None)

    # What the chooser says: see `Listener`

    def wanted(self) -> Mapping[str, Want]:
        """Return the channels that are asked for."""
        return {name: want for name, want in self._wanted.items() if name not in self._refused}

    async def room(self) -> None:
        """Wait until more messages are wanted."""
        await self.inbox.room()

    def up(self, wire: Wire) -> None:
        """Take note that this wire brings the messages from now on."""
        self._met, self.wire = True, wire
        self._say(status=Status.CONNECTED, transport=wire.NAME, error=None, attempts=0)

    def down(self, end: End) -> None:
        """Take note that none does; after a final end none will."""
        self.wire = None
        status = Status.RECONNECTING if self._met else Status.CONNECTING
        attempts = self.state.attempts + 1
        if end.final:
            self.inbox.close(RefusedError(end.error, end.said))
            status = Status.CLOSED
        self._say(status=status, transport=None, error=end.error, attempts=attempts)

    def failed(self, error: Exception) -> None:
        """Let the reader have a mistake in the program."""
        self.inbox.close(error)
        self.chooser.stop()

    def refused(self, end: End) -> bool:
        """Ask for less, if the server's refusal leaves anything to ask for."""
        return end.final and end.said is not None and self._yield_to(Received.of(end.said))

    def message(self, received: Received, *, trusted: bool) -> float | None:
        """Take a message; of a data message, tell how long after another wire it came."""
        message = received.message
        if isinstance(message, Connected):
            self._meet(received, message)
        elif isinstance(message, Error):
            self._hear(received, message)
        elif not trusted or isinstance(message, Batch):
            return None
        elif isinstance(message, Heartbeat):
            self.cursors.reach(message.cursor)
        elif received.channel in self.wanted():
            return self._take(received)
        return None

    def covered(self, channels: Iterable[str], cursor: Cursor, *, trusted: bool) -> None:
        """Take a cursor up to which these channels have all there is."""
        for channel in channels:
            if trusted and channel in self._wanted:
                self.cursors.advance(channel, cursor)

    def _take(self, received: Received) -> float | None:
        channel, message = received.channel, received.message
        if isinstance(message, History):
            if self._wanted[channel].history:
                self.inbox.put(received)
        elif isinstance(message, Gap):
            if self.cursors.skip(channel, message.to):
                self.inbox.put(received)
        elif isinstance(message, DataMessage):
            return self._deliver(received, message)
        return None

    def _deliver(self, received: Received, message: DataMessage) -> float:
        now, channel = self._clock(), received.channel
        if not self.cursors.advance(channel, message.cursor):
            newest, at = self._latest.get(channel, (None, now))
            return max(0.001, now - at) if newest == message.cursor else LONG_AGO_S
        self._latest[channel] = message.cursor, now
        self.inbox.put(received)
        return 0.0

    def _meet(self, received: Received, message: Connected) -> None:
        # Another server may have what this one had not.
        if self.state.server is not None and message.epoch != self.state.server.epoch:
            self._refused.clear()
        self._say(server=message)
        self.inbox.put(received)

    def _hear(self, received: Received, error: Error) -> None:
        if error.code in _PASSING or error.channel is None:
            self.inbox.put(received)
        elif not self._yield_to(received):
            self.chooser.lost(End(error.message, spoken=True, final=True, said=error), barred=False)
        elif error.channel in self.wanted():
            self.chooser.update(error.channel)

    def _yield_to(self, received: Received) -> bool:
        """Do with less than the server refused; tell whether anything is left."""
        error: Any = received.message
        wanted = self.wanted()
        # Over HTTP a query is refused as a whole, and the channel is not always named.
        named = [error.channel] if error.channel is not None else list(wanted)
        if error.code is ErrorCode.INVALID_MESSAGE:
            lesser = [name for name in named if name in wanted and wanted[name].otherwise]
            self._wanted |= {name: wanted[name].lesser() for name in lesser}
            if lesser:
                return True
        if error.channel in wanted:
            self._refused.add(error.channel)
            if self.wanted():
                self.inbox.put(received)
        return error.channel in wanted and bool(self.wanted())

    def _say(self, **news: Any) -> None:  # noqa: ANN401 - the fields of `State`
        state = evolve(self.state, **news)
        if state != self.state:
            self.state = state
            self._on_state(state)
