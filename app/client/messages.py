"""The texts that a server sends, as messages."""

from __future__ import annotations

from collections.abc import Container
from typing import Any, ClassVar, Self

import attrs
import orjson
from attrs import frozen

from schema.codec import (
    SERVER_MESSAGES,
    ServerMessage,
    encode,
    encode_json,
    structure_field,
    structure_server,
)
from schema.documentation import camel
from schema.errors import InvalidMessage
from schema.messages import DataMessage

_KNOWN = {cls.TAG for cls in SERVER_MESSAGES}


@frozen
class ChannelMessage(DataMessage):
    """A message of a channel for which there is no class here; its ``data`` is plain JSON."""

    TAG: ClassVar[str] = ""
    channel: str


Message = ServerMessage | ChannelMessage


@frozen
class Received:
    """A message: its text, that text parsed, and the message itself."""

    text: str
    body: dict[str, Any]
    message: Message

    @classmethod
    def of(cls, message: ServerMessage) -> Self:
        """Give a message the text that it has on the wire."""
        text = encode(message).decode()
        return cls(text, orjson.loads(text), message)

    @property
    def channel(self) -> str:
        """The channel that it is about, if it is about one."""
        channel: str = self.body.get("channel") or self.body["type"]
        return channel


def receive(text: str, channels: Container[str]) -> Received | None:
    """Read a text; None if a newer server says what is of no concern here.

    Raises:
        InvalidMessage: it is no message.
    """
    return _received(text, parse(text), channels)


def receive_item(body: object, channels: Container[str]) -> Received | None:
    """Read what was in a batch; its text is that of the other transports.

    Raises:
        InvalidMessage: it is no message.
    """
    return _received(encode_json(body).decode(), body, channels)


def parse(text: str | bytes) -> object:
    """Parse JSON.

    Raises:
        InvalidMessage: it is none.
    """
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise InvalidMessage(f"message is not JSON: {error}") from None


def _received(text: str, body: object, channels: Container[str]) -> Received | None:
    if not isinstance(body, dict):
        raise InvalidMessage("message must be a JSON object")
    kind = body.get("type")
    if kind in _KNOWN:
        message: Message = structure_server(body)
    elif isinstance(kind, str) and kind in channels:
        values = {
            field.name: structure_field(DataMessage, field.name, body.get(camel(field.name)))
            for field in attrs.fields(DataMessage)
        }
        message = ChannelMessage(**values, channel=kind)
    else:
        return None
    return Received(text, body, message)
