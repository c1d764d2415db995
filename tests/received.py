"""What clients receive: messages to the byte, held against the server's own JSON Schema.

The schema is closed first, so that a key that it does not name is a fault, and an event stream is
read more strictly than an EventSource would.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from functools import cached_property
from typing import Any

from attrs import field, frozen
from jsonschema import Draft202012Validator

Body = dict[str, Any]

# Messages that hold others, and under which key.
CONTAINERS = {"history": "items", "batch": "messages"}
_DECODER = json.JSONDecoder()
# One line for each field, in this order, ended by LF: stricter than the standard.
_EVENT = re.compile(
    r"(?:retry: (?P<retry>[0-9]+)\n)?"
    r"event: (?P<event>[^\n]+)\n"
    r"(?:id: (?P<id>[^\n]+)\n)?"
    r"data: (?P<data>[^\n]+)"
)


@frozen(slots=False)
class Message:
    """A message, to the byte as it came, with the fields that an event gives it beside."""

    text: str = field(repr=lambda text: text[:200])
    id: str | None = None
    retry: int | None = None

    @cached_property
    def body(self) -> Body:
        """The JSON object."""
        return parse(self.text)

    @property
    def kind(self) -> str:
        """Its ``type``."""
        return str(self.body["type"])

    @property
    def is_data(self) -> bool:
        """Whether it is a channel's own message, the only kind whose cursor may be kept."""
        return "data" in self.body

    @property
    def seq(self) -> int:
        """The number in its cursor."""
        return seq_of(self.body["cursor"])

    @property
    def items(self) -> list[Message]:
        """The messages inside a history."""
        return [Message(text) for text in texts_in(self.text, "items")]


def seq_of(cursor: str) -> int:
    """Return the number in a cursor."""
    return int(cursor.partition(":")[2])


def parse(text: str) -> Body:
    """Parse an object, strictly: never NaN or Infinity, and no key twice."""
    body = json.loads(text, parse_constant=_no_constant, object_pairs_hook=_no_key_twice)
    assert isinstance(body, dict)
    return body


def _no_constant(name: str) -> None:
    raise AssertionError(f"{name} is no JSON")


def _no_key_twice(pairs: list[tuple[str, Any]]) -> Body:
    body = dict(pairs)
    assert len(body) == len(pairs), f"a key is there twice in {pairs}"
    return body


def texts_in(text: str, key: str) -> list[str]:
    """Cut the texts out of the list that is the last value of an object, to the byte."""
    at = text.index(f'"{key}":[') + len(key) + 4
    texts = []
    while text[at] != "]":
        _, end = _DECODER.raw_decode(text, at)
        texts.append(text[at:end])
        at = end + (text[end] == ",")
    assert text[at:] == "]}"
    assert [parse(inner) for inner in texts] == parse(text)[key]
    return texts


def may_hold(container: str, inner: Body) -> bool:
    """Tell whether a message may stand in a history or a batch."""
    if container == "history":
        return "data" in inner or inner["type"] == "gap"
    return inner["type"] not in {"batch", "connected", "subscribed", "heartbeat"}


class Checker:
    """Holds messages against a JSON Schema in which no key may appear that it does not name."""

    def __init__(self, schema: Body) -> None:
        self.schema = schema
        self._definitions = _closed(schema["$defs"])
        self._validators: dict[str, Draft202012Validator] = {}
        self._seen: set[str] = set()

    def check(self, text: str) -> None:
        """Fail on a message that is none of the schema's, or that holds one."""
        if text in self._seen:
            return
        body = parse(text)
        key = CONTAINERS.get(body["type"])
        if key is not None:
            # Each text by itself: so it is checked once, wherever it stands.
            for inner in texts_in(text, key):
                assert may_hold(body["type"], parse(inner)), f"{inner} in a {body['type']}"
                self.check(inner)
            body[key] = []
        self._validator(body["type"]).validate(body)
        self._seen.add(text)

    def _validator(self, kind: str) -> Draft202012Validator:
        if kind not in self._validators:
            schema = {"$ref": f"#/$defs/{kind}", "$defs": self._definitions}
            self._validators[kind] = Draft202012Validator(schema)
        return self._validators[kind]


def _closed(schema: Any) -> Any:  # noqa: ANN401 - any part of a JSON document
    """Forbid all keys that a schema does not name."""
    if isinstance(schema, list):
        return [_closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: _closed(part) for key, part in schema.items()}
    # A message may have a field called "properties", whose schema is an object too.
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
        closed["additionalProperties"] = False
    return closed


async def parse_events(chunks: AsyncIterator[bytes]) -> AsyncIterator[Message]:
    """Cut an event stream into its events, each of which must be well-formed."""
    buffer, looked = bytearray(), 0
    async for chunk in chunks:
        buffer += chunk
        while (end := buffer.find(b"\n\n", looked)) >= 0:
            yield parse_event(buffer[:end].decode())
            del buffer[: end + 2]
            looked = 0
        looked = max(0, len(buffer) - 1)
    assert not buffer, f"the stream ended within an event: {bytes(buffer)!r}"


def parse_event(block: str) -> Message:
    """Read one event: its name is the message's type, its id the cursor of a data message."""
    match = _EVENT.fullmatch(block)
    assert match is not None, f"this is no event: {block!r}"
    retry = None if match["retry"] is None else int(match["retry"])
    message = Message(match["data"], match["id"], retry)
    assert message.kind == match["event"]
    assert message.id == (message.body["cursor"] if message.is_data else None)
    return message
