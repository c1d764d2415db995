"""What a client wants of a channel."""

from __future__ import annotations

from typing import Any

import attrs
from attrs import evolve, field, frozen

from schema.codec import structure_field
from schema.fields import Detail
from schema.messages import Subscribe

INTERVAL_MS = 5000


def _checked(_want: Want, attribute: attrs.Attribute[Any], value: object) -> None:
    structure_field(Subscribe, attribute.name, value)


def _detail(value: str) -> Detail:
    detail: Detail = structure_field(Subscribe, "detail", str(value))
    return detail


@frozen
class Want:
    """How a channel is wanted.

    ``interval`` is in milliseconds, 1000 to 60000; ``history`` is how many past messages to begin
    with, 0 to 360. A server that refuses the ``detail`` is asked for ``otherwise``, if there is
    one.

    Raises:
        InvalidMessage: a value is out of range; the text names it.
    """

    interval: int = field(default=INTERVAL_MS, validator=_checked)
    detail: Detail = field(default=Detail.STANDARD, converter=_detail)
    history: int = field(default=0, validator=_checked)
    otherwise: Detail | None = field(
        default=None, converter=attrs.converters.optional(_detail), kw_only=True
    )

    def lesser(self) -> Want:
        """Return what to ask for when the detail was refused."""
        return evolve(self, detail=self.otherwise or self.detail, otherwise=None)
