"""The one converter between messages and JSON text: camelCase, strict types, tagged unions.

cattrs by itself takes ``"5000"``, ``1.5`` and ``true`` for an int; the hooks here do not, so that
a client's mistake is named instead of guessed at. Every way in which decoding can fail ends in
one exception, ``InvalidMessage``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable
from typing import Any, NoReturn, get_args, get_origin

import attrs
import orjson
from cattrs import AttributeValidationNote, ClassValidationError
from cattrs.cols import list_structure_factory
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override
from cattrs.preconf.orjson import OrjsonConverter, make_converter

from schema.containers import Container, ContainersMessage, HeritageContainer
from schema.cursor import Cursor
from schema.devices import InterfaceKind, VolumeStatus
from schema.documentation import camel
from schema.errors import CursorError, ErrorCode, InvalidMessage
from schema.fields import Detail, GapReason, Range, ResumeReason
from schema.memory import MemoryScope
from schema.messages import ClientMessage, ControlMessage
from schema.metrics import Full, MetricsMessage, Simple, Standard
from schema.processes import ProcessesMessage

MAX_SHOWN = 64

ServerMessage = ControlMessage | MetricsMessage | ContainersMessage | ProcessesMessage
SERVER_MESSAGES: tuple[type[Any], ...] = get_args(ServerMessage)
CLIENT_MESSAGES: tuple[type[Any], ...] = get_args(ClientMessage)
CHOICES = (
    Detail,
    ErrorCode,
    GapReason,
    InterfaceKind,
    MemoryScope,
    ResumeReason,
    VolumeStatus,
)


class FieldError(ValueError):
    """A value does not fit its field; the text says what would."""


def encode(message: object) -> bytes:
    """Encode a message, ``type`` first."""
    body = {"type": type(message).TAG, **_converter.unstructure(message)}  # type: ignore[attr-defined]
    return orjson.dumps(body)


def encode_json(body: object) -> bytes:
    """Encode what is no message of the protocol: plain dicts, lists and values."""
    return orjson.dumps(body)


def encode_around(message: object, texts: Iterable[bytes]) -> bytes:
    """Encode a message whose last key is an empty list, with ready texts put into that list.

    So the texts inside a history or a batch are byte for byte those sent elsewhere, and are not
    encoded again.
    """
    return encode(message).removesuffix(b"]}") + b",".join(texts) + b"]}"


def decode_client(text: str | bytes, *, without: Collection[str] = ()) -> ClientMessage:
    """Decode what a client sent; the keys in ``without`` mean nothing, whatever they hold.

    Raises:
        InvalidMessage: it is no JSON object, or a key is missing, unknown or out of range; the
            text names it.
    """
    body = _parse(text)
    if isinstance(body, dict):
        body = {key: value for key, value in body.items() if key not in without}
    message: ClientMessage = _structure(body, CLIENT_MESSAGES)
    return message


def decode_server(text: str | bytes) -> ServerMessage:
    """Decode what the server sent; the items of a history or a batch stay plain objects.

    Raises:
        InvalidMessage: it is none of the server's messages.
    """
    return structure_server(_parse(text))


def structure_server(body: object) -> ServerMessage:
    """Turn a parsed message of the server, or an item of a history or a batch, into its class.

    Raises:
        InvalidMessage: it is none of the server's messages.
    """
    message: ServerMessage = _structure(body, SERVER_MESSAGES)
    return message


def structure_field(cls: type[Any], name: str, value: object) -> Any:  # noqa: ANN401
    """Check one value against one field of a message class, as a query parameter needs it.

    Raises:
        InvalidMessage: the value does not fit; the text names the key and the range.
    """
    try:
        kind: Any = attrs.fields_dict(attrs.resolve_types(cls))[name].type
        return _converter.structure(value, kind)
    except Exception as error:  # noqa: BLE001 - the hooks below decide what is raised
        _refuse(error, camel(name))


def _parse(text: str | bytes) -> object:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        msg = f"message is not JSON: {error.msg} at character {error.pos}"
        raise InvalidMessage(msg) from None


def _structure(body: object, classes: tuple[type[Any], ...]) -> Any:  # noqa: ANN401
    if not isinstance(body, dict):
        msg = f"message must be a JSON object, got {_shown(body)}"
        raise InvalidMessage(msg)
    tag = body.get("type")
    for cls in classes:
        if tag == cls.TAG:
            try:
                return _converter.structure(body, cls)
            except Exception as error:  # noqa: BLE001 - whatever a hook met, the client's text did it
                _refuse(error, "message")
    known = ", ".join(cls.TAG for cls in classes)
    msg = f"type: must be one of {known}, got {_shown(tag)}"
    raise InvalidMessage(msg)


def _refuse(error: Exception, key: str) -> NoReturn:
    """Raise what the client is told: the first key that is wrong, and why."""
    while isinstance(error, ClassValidationError):
        error = error.exceptions[0]
        note, *_ = (n for n in error.__notes__ if isinstance(n, AttributeValidationNote))
        key = camel(note.name)
    missing = isinstance(error, KeyError)
    msg = f"{error.args[0]}: is required" if missing else f"{key}: {error}"
    raise InvalidMessage(msg) from None


def _shown(value: object) -> str:
    """Show a value in an error, cut to a length that cannot be abused."""
    try:
        text = orjson.dumps(value, default=repr).decode()
    except orjson.JSONEncodeError:
        # Read by the same library, but nested deeper than it writes.
        text = "something nested too deeply"
    return text if len(text) <= MAX_SHOWN else text[:MAX_SHOWN] + "…"


def _integer(value: object, _type: object) -> int:
    if type(value) is not int:
        msg = f"must be an integer, got {_shown(value)}"
        raise FieldError(msg)
    return value


def _number(value: object, _type: object) -> float:
    if type(value) not in {int, float} or not math.isfinite(value):  # type: ignore[arg-type]
        msg = f"must be a number, got {_shown(value)}"
        raise FieldError(msg)
    return value  # type: ignore[return-value]


def _text(value: object, _type: object) -> str:
    if type(value) is not str:
        msg = f"must be a string, got {_shown(value)}"
        raise FieldError(msg)
    return value


def _boolean(value: object, _type: object) -> bool:
    if type(value) is not bool:
        msg = f"must be true or false, got {_shown(value)}"
        raise FieldError(msg)
    return value


def _cursor(value: object, _type: object) -> Cursor:
    try:
        return Cursor.parse(_text(value, str))
    except CursorError as error:
        raise FieldError(*error.args) from None


def _is_ranged(cls: object) -> bool:
    return any(isinstance(extra, Range) for extra in getattr(cls, "__metadata__", ()))


def _ranged(cls: Any) -> Callable[[object, object], int]:  # noqa: ANN401
    allowed: Range = cls.__metadata__[0]

    def structure(value: object, _type: object) -> int:
        if type(value) is not int or not allowed.low <= value <= allowed.high:
            msg = f"must be an integer from {allowed.low} to {allowed.high}, got {_shown(value)}"
            raise FieldError(msg)
        return value

    return structure


def _is_list(cls: object) -> bool:
    return get_origin(cls) is list


def _listed(cls: Any, converter: OrjsonConverter) -> Callable[[object, object], Any]:  # noqa: ANN401
    structure_items = list_structure_factory(cls, converter)

    def structure(value: object, _type: object) -> Any:  # noqa: ANN401
        # A string would be taken for the list of its letters.
        if not isinstance(value, list):
            msg = f"must be an array, got {_shown(value)}"
            raise FieldError(msg)
        return structure_items(value, cls)

    return structure


def _choice(value: object, cls: Any) -> Any:  # noqa: ANN401
    try:
        return cls(_text(value, str))
    except ValueError:
        known = ", ".join(cls)
        msg = f"must be one of {known}, got {_shown(value)}"
        raise FieldError(msg) from None


def _metrics(value: object, _type: object) -> Simple | Standard | Full:
    if not isinstance(value, dict) or "cpu" not in value:
        msg = f"must be a host's figures, got {_shown(value)}"
        raise FieldError(msg)
    if "self" in value:
        return _converter.structure(value, Full)
    if "hostname" in value:
        return _converter.structure(value, Standard)
    return _converter.structure(value, Simple)


def _containers(value: object, _type: object) -> list[Container] | list[HeritageContainer]:
    items = value if isinstance(value, list) else []
    measured = any(isinstance(item, dict) and "engine" in item for item in items)
    if measured:
        return _converter.structure(value, list[Container])
    return _converter.structure(value, list[HeritageContainer])


def _renamed(cls: type[Any]) -> dict[str, Any]:
    return {
        field.name: override(
            rename=camel(field.name), omit_if_default=field.metadata.get("optional", False)
        )
        for field in attrs.fields(attrs.resolve_types(cls))
    }


def _make_converter() -> OrjsonConverter:
    converter = make_converter(detailed_validation=True)
    converter.register_structure_hook(int, _integer)
    converter.register_structure_hook(float, _number)
    converter.register_structure_hook(str, _text)
    converter.register_structure_hook(bool, _boolean)
    converter.register_structure_hook(Cursor, _cursor)
    converter.register_unstructure_hook(Cursor, str)
    for choices in CHOICES:
        converter.register_structure_hook(choices, _choice)
    converter.register_structure_hook(Simple | Standard | Full, _metrics)
    converter.register_structure_hook(list[Container] | list[HeritageContainer], _containers)
    converter.register_structure_hook_factory(_is_ranged, _ranged)
    converter.register_structure_hook_factory(_is_list, lambda cls: _listed(cls, converter))
    converter.register_structure_hook_factory(
        lambda cls: attrs.has(cls) and cls is not Cursor,
        lambda cls: make_dict_structure_fn(cls, converter, **_renamed(cls)),
    )
    converter.register_unstructure_hook_factory(
        lambda cls: attrs.has(cls) and cls is not Cursor,
        lambda cls: make_dict_unstructure_fn(cls, converter, **_renamed(cls)),
    )
    return converter


_converter = _make_converter()
