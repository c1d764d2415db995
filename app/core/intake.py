"""What a client says, as far as it may: how much, how often, and in its dialect."""

from __future__ import annotations

from attrs import define

from app.core.rate import BURST, TokenBucket
from schema.codec import decode_client
from schema.errors import CloseCode, ErrorCode, InvalidMessage, ProtocolError
from schema.messages import ClientMessage
from transports.base import Close

MESSAGE_BYTES = 16 * 1024
# Not heritage's keys: what an old client means by them, if it sends them, is not known.
V1_KEYS = frozenset({"since", "history"})


class LastStraw(ProtocolError):  # noqa: N818 - it is the client's error, and this its end
    """A message that is refused, and after which the session is over."""

    def __init__(self, code: ErrorCode, message: str, close: Close) -> None:
        super().__init__(code, message)
        self.close = close


@define(eq=False)
class Intake:
    """Takes the messages of one client, and refuses those that it may not send."""

    _heritage: bool
    _bucket: TokenBucket
    _strikes: int = 0

    def read(self, data: str | bytes, now: float) -> ClientMessage:
        """Decode a message that came at a moment in monotonic seconds.

        Raises:
            LastStraw: it is too big, or one too many; the session is over.
            ProtocolError: it is refused, and the next may be better.
        """
        if not self._bucket.take(now):
            self._strike()
        if isinstance(data, bytes):
            msg = "message must be a text frame, got a binary one"
            raise InvalidMessage(msg)
        if len(data) > MESSAGE_BYTES or len(data.encode()) > MESSAGE_BYTES:
            msg = f"message is larger than {MESSAGE_BYTES} bytes"
            close = Close(CloseCode.MESSAGE_TOO_BIG, "message too big")
            raise LastStraw(ErrorCode.MESSAGE_TOO_LARGE, msg, close)
        return decode_client(data, without=V1_KEYS if self._heritage else ())

    def _strike(self) -> None:
        self._strikes += 1
        msg = "too many messages: at most 20 a second, 40 at once"
        if self._strikes > BURST:
            close = Close(CloseCode.RATE, "too many messages")
            raise LastStraw(ErrorCode.RATE_LIMITED, msg, close)
        raise ProtocolError(ErrorCode.RATE_LIMITED, msg)
