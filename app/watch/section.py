"""Parts of the screen, and how they share the room that there is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from attrs import frozen
from rich.text import Text

from app.watch.figures import Pen

LABEL = 10
"""Cells of the name at the left of a line."""
GAP = "  "


@frozen
class Section:
    """Lines, the most important first, of which the first ``least`` are shown, or none.

    Where there is not room for all, those with the lower ``rank`` go before. What can be done
    without has a ``least`` of 0.
    """

    lines: Sequence[Text]
    rank: int
    least: int = 1


def fit(sections: Iterable[Section], height: int) -> list[Text]:
    """Choose what is shown in a column of this height; the order stays."""
    given = {number: section for number, section in enumerate(sections) if section.lines}
    shown: dict[int, int] = {}
    for number in sorted(given, key=lambda number: given[number].rank):
        least = min(given[number].least, len(given[number].lines))
        if least <= height:
            shown[number] = least
            height -= least
    growing = sorted(shown, key=lambda number: given[number].rank)
    while height and growing:
        # One line more for each in turn, so that none starves.
        growing = [number for number in growing if shown[number] < len(given[number].lines)]
        for number in growing[:height]:
            shown[number] += 1
            height -= 1
    return _spaced([given[number].lines[: shown[number]] for number in sorted(shown)], height)


def _spaced(parts: list[Sequence[Text]], room: int) -> list[Text]:
    lines: list[Text] = []
    for number, part in enumerate(parts):
        if number and room >= len(parts) - 1:
            lines.append(Text())
        lines += part
    return lines


@frozen
class Column:
    """A column of a table; the ``width`` of the first is what the others leave."""

    title: str
    width: int
    right: bool = True


def table(
    pen: Pen, width: int, columns: Sequence[Column], rows: Iterable[Sequence[Text | str]]
) -> list[Text]:
    """Write a table, its header first; what does not fit is left out from the right."""
    first, *others = columns
    while others and first.width + sum(len(GAP) + one.width for one in others) > width:
        others.pop()
    rest = width - sum(len(GAP) + one.width for one in others)
    chosen = [Column(first.title, max(rest, 0), first.right), *others]
    header = [Text(one.title, style="bold") for one in chosen]
    return [_row(pen, chosen, cells) for cells in (header, *rows)]


def _row(pen: Pen, columns: Sequence[Column], cells: Sequence[Text | str]) -> Text:
    line = Text()
    for number, (column, cell) in enumerate(zip(columns, cells, strict=False)):
        text = cell.copy() if isinstance(cell, Text) else Text(cell)
        lacking = column.width - text.cell_len
        if lacking < 0:
            text = Text(pen.fit(text.plain, column.width), style=text.style)
            lacking = 0
        if number:
            line.append(GAP)
        line.append(" " * (lacking * column.right))
        line.append_text(text)
        line.append(" " * (lacking * (not column.right)))
    return line


def labelled(pen: Pen, label: str, first: Text | str, *others: Text | str, width: int) -> Text:
    """Write a line: a name, and what is to be said of it, as far as there is room."""
    line = Text(pen.fit(label, LABEL), style="bold")
    line.append_text(_plain(first))
    for other in map(_plain, others):
        if line.cell_len + len(GAP) + other.cell_len > width:
            break
        line.append(GAP).append_text(other)
    line.truncate(width)
    return line


def _plain(part: Text | str) -> Text:
    """Keep a part from being written as its line's name is."""
    text = Text(style="not bold")
    return text.append_text(part) if isinstance(part, Text) else text.append(part)


def wrapped(pen: Pen, label: str, items: Iterable[Text], width: int) -> list[Text]:
    """Write items one after the other, over as many lines as they need."""
    rows: list[list[Text]] = []
    room = 0
    for item in items:
        if not rows or item.cell_len > room:
            rows.append([])
            room = width - LABEL
        room -= item.cell_len + len(GAP)
        rows[-1].append(item)
    names = [label, *[""] * len(rows)]
    return [labelled(pen, name, *row, width=width) for name, row in zip(names, rows, strict=False)]
