"""What the classes say of themselves, for the JSON Schema and for docs/metrics.md."""

from __future__ import annotations

import inspect
import re
from typing import Annotated, Any, get_args, get_origin

import attrs

from schema.fields import Unit

# "    usage: busy share of ..." in the section of attributes, as Google's docstrings have it.
_ATTRIBUTE = re.compile(r"^    (\w+): (.+)$")


def camel(name: str) -> str:
    """Turn a Python field name into its key on the wire; capitals stay, as in ``frequency_MHz``."""
    head, *rest = name.rstrip("_").split("_")
    return head + "".join(word[:1].upper() + word[1:] for word in rest)


def summary(cls: type[Any]) -> str:
    """Return the first paragraph of a class's docstring, with keys as the wire has them."""
    paragraph = inspect.cleandoc(cls.__doc__ or "").partition("\n\n")[0]
    return _on_the_wire(paragraph, cls)


def attribute_texts(cls: type[Any]) -> dict[str, str]:
    """Return what a class and those that it stands on say of each attribute, by its name."""
    texts: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        texts |= _section(base)
    return texts


def unit_of(kind: Any) -> str | None:  # noqa: ANN401 - any annotation
    """Return what an annotated figure is counted in; None where there is nothing to count."""
    if get_origin(kind) is Annotated:
        return next((extra.symbol for extra in kind.__metadata__ if isinstance(extra, Unit)), None)
    units = (unit_of(part) for part in get_args(kind))
    return next((unit for unit in units if unit), None)


def _section(cls: type[Any]) -> dict[str, str]:
    _, _, section = inspect.cleandoc(cls.__dict__.get("__doc__") or "").partition("\nAttributes:\n")
    texts: dict[str, str] = {}
    name = ""
    for line in section.splitlines():
        begins = _ATTRIBUTE.match(line)
        if begins:
            name = begins[1]
        texts[name] = f"{texts.get(name, '')} {begins[2] if begins else line.strip()}".strip()
    return {name: _on_the_wire(text, cls) for name, text in texts.items()}


def _on_the_wire(text: str, cls: type[Any]) -> str:
    text = " ".join(text.split())
    for field in attrs.fields(cls) if attrs.has(cls) else ():
        text = text.replace(f"``{field.name}``", f"``{camel(field.name)}``")
    return text.replace("``", "`")
