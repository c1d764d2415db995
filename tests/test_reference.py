"""docs/metrics.md: the page is made from the classes, and says everything."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import attrs
import orjson
import pytest
from attrs import frozen
from hypothesis import given

from schema.codec import encode
from schema.documentation import attribute_texts, summary, unit_of
from schema.fields import Bytes, Percent, Range
from schema.metrics import Full, MetricsMessage
from schema.reference import SECTIONS, page
from tests.strategies import CURSOR, values

PAGE = Path(__file__).resolve().parent.parent / "docs" / "metrics.md"


def test_the_page_is_up_to_date() -> None:
    """`nox -s reference` writes it anew."""
    made = subprocess.run(
        [sys.executable, "-m", "schema.reference"], capture_output=True, check=True
    )
    assert PAGE.read_text(encoding="utf-8") == made.stdout.decode() == page()


@pytest.mark.parametrize("title", [title for title, _, _ in SECTIONS])
def test_each_kind_of_data_has_its_section(title: str) -> None:
    """With a table."""
    assert re.search(rf"^## {re.escape(title)}\n\n.+\n\n\| Key \|", page(), re.MULTILINE)


@given(values(Full))
def test_every_key_that_is_sent_has_a_row(data: Full) -> None:
    """In the section of its detail, whatever is inside of it."""
    _, _, section = page().partition("detail `full`")
    told = set(re.findall(r"^\| `(\S+)` \|", section.partition("\n## ")[0], re.MULTILINE))
    message = orjson.loads(encode(MetricsMessage(1, CURSOR, "h", 1000, 1000, data)))
    assert paths(message["data"], "") <= told


def paths(value: object, path: str) -> set[str]:
    if isinstance(value, dict):
        inner = (paths(item, f"{path}.{key}" if path else key) for key, item in value.items())
        return set().union({path} if path and not path.endswith("]") else set(), *inner)
    if isinstance(value, list):
        return {path}.union(*(paths(item, f"{path}[]") for item in value))
    return set() if path.endswith("]") else {path}


@frozen
class Tank:
    """What holds something, as long as ``is_open`` is false.

    It is not of this project.

    Attributes:
        is_open: whether ``level`` may change; said in more
            than one line.
        level: how full it is.
    """

    is_open: bool
    level: Percent | None


@frozen(kw_only=True)
class Barrel(Tank):
    """A tank of wood.

    Attributes:
        level: how full it is, in the middle.
        size: all that it holds.
    """

    size: Bytes


def test_a_class_tells_of_its_attributes_and_of_those_that_it_stands_on() -> None:
    """By the keys of the wire; what it says itself counts more."""
    assert summary(Tank) == "What holds something, as long as `isOpen` is false."
    assert attribute_texts(Barrel) == {
        "is_open": "whether `level` may change; said in more than one line.",
        "level": "how full it is, in the middle.",
        "size": "all that it holds.",
    }


def test_a_class_may_have_nothing_to_tell() -> None:
    """Then there is nothing."""
    bare = attrs.make_class("Bare", ["x"])
    bare.__doc__ = None
    assert (summary(bare), attribute_texts(bare)) == ("", {})


def test_units_are_found_wherever_they_stand() -> None:
    """In what may be null and in lists too."""
    kinds = (Percent, Bytes | None, list[Percent | None], Annotated[int, Range(0, 1)], int)
    assert [unit_of(kind) for kind in kinds] == ["%", "B", "%", None, None]
