"""Error codes, close codes, and the exception tree.

::

    PulsewireError
    ├── CursorError         text that is no cursor
    ├── ProtocolError       a client may not have what it asked for; an ``error`` on the wire
    │   └── InvalidMessage  the message or the query itself was wrong; names the offending key
    └── SettingsError, ListenError, SourceUnavailableError: see ``app``
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from http import HTTPStatus


class ErrorCode(StrEnum):
    """Codes of ``error`` messages, which are also the bodies of HTTP refusals."""

    INVALID_MESSAGE = "INVALID_MESSAGE"
    UNKNOWN_CHANNEL = "UNKNOWN_CHANNEL"
    CHANNEL_UNAVAILABLE = "CHANNEL_UNAVAILABLE"
    TOO_MANY_SUBSCRIPTIONS = "TOO_MANY_SUBSCRIPTIONS"
    MESSAGE_TOO_LARGE = "MESSAGE_TOO_LARGE"
    RATE_LIMITED = "RATE_LIMITED"
    UNAUTHORIZED = "UNAUTHORIZED"
    FORBIDDEN = "FORBIDDEN"
    OVERLOADED = "OVERLOADED"

    @property
    def http_status(self) -> HTTPStatus:
        """Status of an HTTP response that carries this error as its body."""
        return _HTTP_STATUS[self]


_HTTP_STATUS = {
    ErrorCode.INVALID_MESSAGE: HTTPStatus.BAD_REQUEST,
    ErrorCode.UNKNOWN_CHANNEL: HTTPStatus.NOT_FOUND,
    ErrorCode.CHANNEL_UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
    ErrorCode.TOO_MANY_SUBSCRIPTIONS: HTTPStatus.BAD_REQUEST,
    ErrorCode.MESSAGE_TOO_LARGE: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    ErrorCode.RATE_LIMITED: HTTPStatus.TOO_MANY_REQUESTS,
    ErrorCode.UNAUTHORIZED: HTTPStatus.UNAUTHORIZED,
    ErrorCode.FORBIDDEN: HTTPStatus.FORBIDDEN,
    ErrorCode.OVERLOADED: HTTPStatus.SERVICE_UNAVAILABLE,
}


class CloseCode(IntEnum):
    """WebSocket close codes that the server sends.

    4000 to 4499 mean "come back", 4500 to 4999 mean "do not"; 1000 to 1012 are RFC 6455's and
    the IANA registry's own.
    """

    NORMAL = 1000
    GOING_AWAY = 1001
    MESSAGE_TOO_BIG = 1009
    NO_PONG = 1011
    RESTART = 1012
    TOO_SLOW = 4008
    RATE = 4029
    NOT_AUTHORISED = 4500
    BAD_REQUEST = 4501
    CONNECTION_LIMIT = 4504


class PulsewireError(Exception):
    """Base of every exception that Pulsewire raises on purpose."""


class CursorError(PulsewireError):
    """The text is not a cursor."""


class ProtocolError(PulsewireError):
    """A request that is refused, with what the client is told about it."""

    def __init__(self, code: ErrorCode, message: str, channel: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.channel = channel


class InvalidMessage(ProtocolError):  # noqa: N818 - named after the wire's INVALID_MESSAGE
    """A message or a query that breaks the schema; the text names the offending key."""

    def __init__(self, message: str) -> None:
        super().__init__(ErrorCode.INVALID_MESSAGE, message)
