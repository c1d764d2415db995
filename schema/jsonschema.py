"""One JSON Schema of every message, made from the classes that the codec reads and writes.

Own code: the libraries that make JSON Schema of classes bring a model of their own along, and know
neither the codec's camelCase keys nor the ranges in our annotations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum
from types import UnionType
from typing import Annotated, Any, TypeAlias, Union, get_args, get_origin

import attrs

from schema.cursor import PATTERN, Cursor
from schema.documentation import attribute_texts, camel, summary, unit_of
from schema.fields import Range
from schema.messages import Batch, ClientMessage, ControlMessage, DataMessage, Gap, History

DRAFT = "https://json-schema.org/draft/2020-12/schema"

Schema = dict[str, Any]
Field: TypeAlias = "attrs.Attribute[Any]"

_PLAIN: dict[Any, Schema] = {
    Any: {},
    None: {"type": "null"},
    type(None): {"type": "null"},
    bool: {"type": "boolean"},
    float: {"type": "number"},
    int: {"type": "integer"},
    str: {"type": "string"},
    Cursor: {"$ref": "#/$defs/cursor"},
}


def message_schema(data_messages: Iterable[type[DataMessage]]) -> Schema:
    """Describe every message in one document (JSON Schema, draft 2020-12).

    The document itself is the schema of what a server sends; what a client may send is its
    definition ``clientMessages``; each message is the definition of its ``type``. Keys that are
    not described are allowed, as both sides ignore them. A number such as ``5000.0`` is an integer
    to JSON Schema, but not to the codec.

    Args:
        data_messages: the class of each channel that the server has.
    """
    data = tuple(data_messages)
    client: tuple[type[Any], ...] = get_args(ClientMessage)
    server: tuple[type[Any], ...] = (*get_args(ControlMessage), *data)
    messages = {cls.TAG: _message(cls, _is_left_out) for cls in server}
    messages |= {cls.TAG: _message(cls, _has_default) for cls in client}
    # The classes say only "a list", since its texts are ready made.
    _hold(messages, History, "items", (*data, Gap))
    _hold(messages, Batch, "messages", [cls for cls in server if cls is not Batch])
    return {
        "$schema": DRAFT,
        "title": "Pulsewire messages",
        "description": "What a server sends; what a client may send is $defs/clientMessages.",
        "oneOf": _references(server),
        "$defs": {
            **messages,
            "clientMessages": {"oneOf": _references(client)},
            "cursor": {"type": "string", "pattern": PATTERN, "description": summary(Cursor)},
        },
    }


def _references(classes: Iterable[type[Any]]) -> list[Schema]:
    return [{"$ref": f"#/$defs/{cls.TAG}"} for cls in classes]


def _hold(messages: Schema, cls: type[Any], key: str, held: Iterable[type[Any]]) -> None:
    messages[cls.TAG]["properties"][key]["items"] = {"oneOf": _references(held)}


def _is_left_out(field: Field) -> bool:
    """Tell whether a server may leave the key out: only where it says so."""
    return bool(field.metadata.get("optional"))


def _has_default(field: Field) -> bool:
    """Tell whether a client may leave the key out."""
    return field.default is not attrs.NOTHING


def _message(cls: type[Any], may_lack: Callable[[Field], bool]) -> Schema:
    schema = _object(cls, may_lack)
    schema["properties"] = {"type": {"const": cls.TAG}, **schema["properties"]}
    schema["required"] = ["type", *schema["required"]]
    return schema


def _object(cls: type[Any], may_lack: Callable[[Field], bool]) -> Schema:
    fields, texts = attrs.fields(attrs.resolve_types(cls)), attribute_texts(cls)
    return {
        "title": cls.__name__,
        "description": summary(cls),
        "type": "object",
        "properties": {
            camel(field.name): _value(field.type) | _meaning(field, texts) for field in fields
        },
        "required": [camel(field.name) for field in fields if not may_lack(field)],
    }


def _meaning(field: Field, texts: dict[str, str]) -> Schema:
    text, unit = texts.get(field.name), unit_of(field.type)
    if text is None:
        return {}
    return {"description": f"{text} In {unit}." if unit else text}


def _value(kind: Any) -> Schema:  # noqa: ANN401 - any annotation
    """Describe a value by the annotation of its field."""
    if kind in _PLAIN:
        return dict(_PLAIN[kind])
    origin = get_origin(kind)
    if origin is not None:
        return _composed(origin, get_args(kind))
    if issubclass(kind, Enum):
        return {"enum": [choice.value for choice in kind], "description": summary(kind)}
    return _object(kind, _is_left_out)


def _composed(origin: Any, parts: tuple[Any, ...]) -> Schema:  # noqa: ANN401 - as typing has it
    if origin is Annotated:
        kind, extra = parts
        return {**_value(kind), **(_bounds(extra) if isinstance(extra, Range) else {})}
    if origin in {Union, UnionType}:
        # Not oneOf: a fuller shape of a channel's data fits the plainer one too.
        return {"anyOf": [_value(part) for part in parts]}
    if origin is dict:
        return {"type": "object", "additionalProperties": _value(parts[1])}
    return {"type": "array", "items": _value(parts[0])}


def _bounds(allowed: Range) -> Schema:
    return {"minimum": allowed.low, "maximum": allowed.high}
