"""The page docs/metrics.md: every key of the data, made from the classes that are sent.

``python -m schema.reference`` prints it; a test compares it with the page.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import attrs

from schema.containers import Container, HeritageContainer
from schema.documentation import attribute_texts, camel, summary, unit_of
from schema.metrics import Full, Simple, Standard
from schema.processes import Processes

HEADER = "| Key | Type | Unit | What it is |\n|---|---|---|---|"
TYPES = {int: "integer", float: "number", str: "string", bool: "boolean"}
INTRODUCTION = """\
# What is measured

Every key of the `data` of every channel. This page is made from the classes that are sent, by
`nox -s reference`; the same texts are in the JSON Schema at `/api/schema`.

Percentages are 0 to 100. Percentages and rates are means over the message's own window
(`windowMs`), which is the interval that was asked for. Type `… or null` means: null where it is not
known, or where this system has no such thing; a figure is never made up. A counter that ran
backwards within the window gives null, not a spike. Keys of arrays are written with `[]`.
"""
# Each heading with the class whose keys come under it.
SECTIONS: tuple[tuple[str, str, type[Any]], ...] = (
    ("`metrics`, detail `simple`", "", Simple),
    ("`metrics`, detail `standard`", "", Standard),
    ("`metrics`, detail `full`", "", Full),
    ("`containers`, detail `simple`", "[].", HeritageContainer),
    ("`containers`, details `standard` and `full`", "[].", Container),
    ("`processes`", "", Processes),
)


def page() -> str:
    """Return the page, in Markdown."""
    sections = (_section(title, prefix, cls) for title, prefix, cls in SECTIONS)
    return "\n".join([INTRODUCTION, *sections])


def _section(title: str, prefix: str, cls: type[Any]) -> str:
    rows = "\n".join(_rows(prefix, cls))
    return f"## {title}\n\n{summary(cls)}\n\n{HEADER}\n{rows}\n"


def _rows(prefix: str, cls: type[Any]) -> Iterator[str]:
    """Give a row for each key, those of the objects in it after it."""
    texts = attribute_texts(cls)
    for field in attrs.fields(attrs.resolve_types(cls)):
        key = f"{prefix}{camel(field.name)}"
        unit = unit_of(field.type) or ""
        yield f"| `{key}` | {_type(field.type)} | {unit} | {_sentence(texts[field.name])} |"
        inner, dots = _inside(field.type)
        if inner is not None:
            yield from _rows(f"{key}{dots}", inner)


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]


def _type(kind: Any) -> str:  # noqa: ANN401 - any annotation
    """Say what JSON has at a key."""
    origin, parts = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _type(parts[0])
    if origin in {Union, UnionType}:
        return f"{_type(parts[0])} or null"
    if origin is list:
        return f"array of {_plural(_type(parts[0]))}"
    if attrs.has(kind):
        return "object"
    if issubclass(kind, Enum):
        return ", ".join(f"`{choice.value}`" for choice in kind)
    return TYPES[kind]


def _plural(name: str) -> str:
    one, _, rest = name.partition(" or ")
    return f"{one}s or {rest}" if rest else f"{one}s"


def _inside(kind: Any) -> tuple[type[Any] | None, str]:  # noqa: ANN401 - any annotation
    """Return the class of the object, or of the objects, at a key, and how its keys go on."""
    if get_origin(kind) is list:
        inner, dots = _inside(get_args(kind)[0])
        return inner, f"[]{dots}"
    classes = [part for part in (kind, *get_args(kind)) if isinstance(part, type)]
    return next(((part, ".") for part in classes if attrs.has(part)), (None, ""))


if __name__ == "__main__":
    print(page(), end="")  # noqa: T201 - the page is what it is run for
