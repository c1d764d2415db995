"""One client's protocol state, without I/O: text in, frames out.

A session holds no queue. For each subscription it knows how far it has come in the log; when the
wire is free it takes what it missed from the cohort. Beside that there is a short lane of control
frames, and a client that does not even read those is let go.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from attrs import define, field

from app.core.delivery import Delivery
from app.core.desk import Desk
from app.core.intake import Intake, LastStraw
from app.core.rate import TokenBucket
from app.core.subscription import Subscription
from schema.codec import encode_around
from schema.cursor import Cursor
from schema.errors import CloseCode, ErrorCode, InvalidMessage, ProtocolError
from schema.fields import Detail
from schema.frame import Frame
from schema.messages import (
    V1_CHANNELS,
    V1_ONLY,
    Batch,
    ClientMessage,
    Error,
    Heartbeat,
    Ping,
    Reconnect,
    Resume,
    Subscribe,
    Subscribed,
    Unsubscribe,
)
from transports.base import Close, Sink, Wire

# More than a client can fill before its rate ends it, unless it does not read.
LANE = 128
# How long one session may render what it missed before others have their turn.
SLICE_S = 0.005
MAX_SUBSCRIPTIONS = 16


@define(eq=False, weakref_slot=False)
class Session:
    """The protocol as one client speaks it, on whatever wire."""

    _desk: Desk
    wire: Wire
    wake: Callable[[], None]
    heritage: bool = field(default=False, kw_only=True)
    close: Close | None = field(default=None, init=False)
    more: bool = field(default=False, init=False)
    readers: int = field(default=1, init=False)
    last_sent: float = field(init=False)
    _intake: Intake = field(init=False)
    _lane: list[Frame] = field(factory=list, init=False)
    _pending: dict[str, Subscription] = field(factory=dict, init=False)
    _subscriptions: dict[str, Subscription] = field(factory=dict, init=False)
    _resumes: dict[str, Resume] = field(factory=dict, init=False)
    _pings: int = field(default=0, init=False)
    _beat: bool = field(default=False, init=False)
    _started: bool = field(default=False, init=False)
    _since: Cursor | None = field(default=None, init=False)
    # Set while the session is in the fans of its cohorts.
    _sink: Sink | None = field(default=None, init=False)
    _reach: int | None = field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self.last_sent = self._desk.now()
        self._intake = Intake(self.heritage, TokenBucket(self.last_sent))

    # What the client says

    def receive(self, data: str | bytes) -> None:
        """Take a message of the client; a bad one is answered, and the connection stays open."""
        if self.close is not None:
            return
        try:
            self._obey(self._intake.read(data, self._desk.now()))
        except ProtocolError as error:
            if isinstance(error, LastStraw):
                self._end(error.close)
            self.say(Error(self._desk.timestamp(), error.code, error.message, error.channel))
        self.wake()

    def _obey(self, message: ClientMessage) -> None:
        if isinstance(message, Ping):
            self._pings += 1
        elif isinstance(message, Unsubscribe):
            self._unsubscribe(message)
        else:
            self._subscribe(message)

    def subscribe(self, wanted: Sequence[Subscribe]) -> None:
        """Subscribe to what the query of a request names.

        Raises:
            ProtocolError: the whole request is refused.
        """
        for subscribe in wanted:
            self._subscribe(subscribe)
        self._since = wanted[0].since

    def _subscribe(self, wanted: Subscribe) -> None:
        channel = wanted.channel
        if self.heritage and wanted.detail is Detail.FULL:
            msg = "detail: must be one of simple, standard without the subprotocol pulsewire.v1"
            raise InvalidMessage(msg)
        self._desk.check(channel, wanted.detail)
        if self.heritage and channel in V1_CHANNELS:
            msg = f"channel: {channel} is not to be had without the subprotocol pulsewire.v1"
            raise InvalidMessage(msg)
        if len({channel, *self._subscriptions, *self._pending}) > MAX_SUBSCRIPTIONS:
            msg = f"at most {MAX_SUBSCRIPTIONS} subscriptions on one connection"
            raise ProtocolError(ErrorCode.TOO_MANY_SUBSCRIPTIONS, msg, channel)
        self._drop(channel)
        cohort = self._desk.cohort(wanted)
        self._pending[channel] = Subscription(wanted, cohort)
        # A member from now on, so that the cohort lives while the cursor is being judged.
        cohort.enter(self)

    def _unsubscribe(self, message: Unsubscribe) -> None:
        self._desk.check(message.channel)
        self._drop(message.channel)

    def _drop(self, channel: str) -> None:
        for subscriptions in (self._pending, self._subscriptions):
            gone = subscriptions.pop(channel, None)
            if gone is not None:
                # One whose opening waits has not joined yet.
                if self._sink is not None and not gone.opening:
                    gone.cohort.part(self, self._sink, heritage=self.heritage)
                gone.cohort.leave(self)
                self._desk.released(gone.cohort)

    # What the hub says

    def notify(self) -> None:
        """Say that there is something to take."""
        self.wake()

    def say(self, message: object, *, retry: int | None = None) -> None:
        """Put a control message into the lane; ``retry`` is what an EventSource is told to wait."""
        if len(self._lane) + self._pings >= LANE:
            self._end(Close(CloseCode.TOO_SLOW, "too slow"))
            return
        self._lane.append(Frame.of(message, retry=retry))

    def beat(self) -> None:
        """Send a heartbeat as soon as the wire is free."""
        self._beat = True
        self.wake()

    def lost(self, channel: str, reason: str) -> None:
        """Tell the client that a channel has nothing to say at present."""
        # Who waits for a verdict is told with that.
        if channel not in self._pending:
            self._say_lost(channel, reason)
            self.wake()

    def _say_lost(self, channel: str, reason: str) -> None:
        error = ErrorCode.CHANNEL_UNAVAILABLE
        self.say(Error(self._desk.timestamp(), error, reason, channel))

    def farewell(self, after_ms: int) -> None:
        """Tell the client to come back after so long, and end."""
        if self.close is None:
            self.say(Reconnect(self._desk.timestamp(), "drain", after_ms), retry=after_ms)
            self._end(Close(CloseCode.RESTART, "server is restarting"))
            self.wake()

    def _end(self, close: Close) -> None:
        self.close = self.close or close

    def leave(self) -> None:
        """Forget the client; may be called twice."""
        for channel in [*self._pending, *self._subscriptions]:
            self._drop(channel)
        self._desk.left(self)

    # What the wire is given

    def join(self, sink: Sink) -> None:
        """Let the sink have what comes from now on by fan-out; all there was has been taken."""
        self._sink = sink
        for subscription in self._subscriptions.values():
            if not subscription.opening:
                subscription.cohort.join(self, sink, heritage=self.heritage)

    def part(self) -> None:
        """Leave the fan-out; what comes from now on waits to be taken."""
        if self._sink is not None:
            sink, self._sink = self._sink, None
            for subscription in self._subscriptions.values():
                if not subscription.opening:
                    subscription.position = self._desk.delivered
                    subscription.cohort.part(self, sink, heritage=self.heritage)

    @property
    def silent_since(self) -> float:
        """When the wire was last given something, in monotonic seconds."""
        joined = [s.cohort for s in self._subscriptions.values() if self._sink and not s.opening]
        return max([self.last_sent, *(cohort.fanned_at for cohort in joined)])

    def take(self) -> list[Frame]:
        """Return what the wire, being free, should be given now; empty if nothing."""
        self.part()
        self.more = False
        frames = self._usual() or self._all()
        if frames:
            self.last_sent = self._desk.now()
            data = sum(frame.cursor is not None for frame in frames)
            self._desk.counters.deliveries[self.wire] += data * self.readers
        return frames

    def _usual(self) -> list[Frame]:
        """Take the one message that has just come, as nearly always; nothing if there is more."""
        busy = self._lane or self._pending or self._pings or self._beat or self.close is not None
        if busy or len(self._subscriptions) != 1:
            return []
        (subscription,) = self._subscriptions.values()
        frame = subscription.follow(self._desk.log)
        if frame is None:
            return []
        self._started, self._reach = True, subscription.position
        return [frame]

    def _all(self) -> list[Frame]:
        """Take what there is of all kinds."""
        frames: list[Frame] = []
        if self.close is None:
            deadline = self._desk.now() + SLICE_S
            self._settle(lambda: self._desk.now() > deadline)
            frames = self._data(lambda: self._desk.now() > deadline)
        frames, self._lane = [*self._lane, *frames], []
        if self.heritage:
            frames = [frame for frame in frames if frame.kind not in V1_ONLY]
        # Its cursor must not be ahead of what was taken: while there is more, it waits.
        if (self._pings or self._beat) and self.close is None and not self.more:
            covered = self._reached if self._started else None
            beat = Frame.of(Heartbeat(self._desk.timestamp(), covered))
            frames += [beat] * (self._pings or (not frames))
            self._pings, self._beat = 0, False
        return frames

    def _settle(self, spent: Callable[[], bool]) -> None:
        """Give the verdict on each new subscription, in the order in which they came."""
        for channel, subscription in list(self._pending.items()):
            resume = subscription.judge(self._desk.log, spent)
            if resume is None:
                self.more = True
                return
            del self._pending[channel]
            self._subscriptions[channel] = subscription
            self._resumes[channel] = resume
            if subscription.opening:
                subscription.cohort.waiting.add(self)
            self._acknowledge(subscription, resume)

    def _acknowledge(self, subscription: Subscription, resume: Resume) -> None:
        cohort, polled = subscription.cohort, self.wire is Wire.LONGPOLL
        if not polled:
            interval = cohort.key.ticks * cohort.tick_ms
            self.say(
                Subscribed(
                    self._desk.timestamp(), cohort.key.channel, interval, cohort.key.detail, resume
                )
            )
        reason = self._desk.unavailable(cohort.key.channel)
        # A poller that knows already would be answered at once, again and again.
        if reason is not None and not (polled and resume.recovered):
            # Who is woken may take at once, and this is said while something is being taken.
            self._say_lost(cohort.key.channel, reason)

    def _data(self, spent: Callable[[], bool]) -> list[Frame]:
        """Take what is due of all channels; all of it or nothing."""
        delivery = None
        if not self.more:
            delivery = Delivery.of(self._subscriptions.values(), self._desk, spent)
        if delivery is None:
            self.more = True
            return []
        for subscription in delivery.opened:
            subscription.cohort.waiting.discard(self)
        self._started = self._started or bool(delivery.messages)
        self._reach = self._desk.log.head
        return delivery.frames

    @property
    def _reached(self) -> Cursor | None:
        """The highest cursor up to which everything subscribed has been taken."""
        return None if self._reach is None else self._desk.log.cursor(self._reach)

    def batch(self, frames: Sequence[Frame]) -> bytes:
        """Return the body of a long-poll answer with these frames."""
        # A poll that was cut short by a drain has not got what lies behind its cursor; and the log
        # may have gone on since these frames were taken.
        drained = any(frame.kind == Reconnect.TAG for frame in frames)
        cursor = self._since if drained else self._reached or self._since
        message = Batch(self._desk.timestamp(), cursor, self._resumes, [])
        return encode_around(message, [frame.text for frame in frames])
