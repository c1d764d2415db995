"""The whole screen, for a terminal of any size: lines of text, and no I/O."""

from __future__ import annotations

from itertools import zip_longest

from attrs import frozen
from rich.text import Text

from app.client import State, Status
from app.watch.devices import disk_io, disks, network
from app.watch.figures import Pen, duration
from app.watch.machine import cores, cpu, cpu_details, memory, memory_details, pressure, sensors
from app.watch.picture import Data, Picture
from app.watch.section import Section, fit
from app.watch.tenants import containers, processes

# From so many cells on there are two columns, and three.
TWO, THREE = 130, 200
GUTTER = 3
# More lines than there ever are.
ENDLESS = 100_000


@frozen
class Connection:
    """How the connection is, as the header tells it: times are in seconds."""

    state: State
    place: str
    latency: float | None = None
    retry_in: float | None = None
    age: float | None = None


def render(
    picture: Picture, connection: Connection, pen: Pen, width: int, height: int | None
) -> list[Text]:
    """Draw the screen; without a height, all there is to see."""
    lines = [*_header(picture, connection, pen, width)]
    room = None if height is None else max(0, height - len(lines) - 1)
    if picture.data is not None:
        lines += _body(picture, picture.data, pen, width, room)
    if height is None:
        return lines
    lines = lines[: height - 1]
    lines += [Text()] * (height - 1 - len(lines))
    return [*lines, _footer(picture, connection, pen, width)]


def _body(picture: Picture, data: Data, pen: Pen, width: int, height: int | None) -> list[Text]:
    count = 1 + (width >= TWO) + (width >= THREE)
    each = (width - GUTTER * (count - 1)) // count
    columns = _columns(picture, data, pen, each, count)
    return _beside([fit(column, ENDLESS if height is None else height) for column in columns], each)


def _columns(picture: Picture, data: Data, pen: Pen, width: int, count: int) -> list[list[Section]]:
    machine = [
        cpu(picture, data, pen, width),
        cpu_details(data, pen, width),
        cores(data, pen, width),
        memory(data, pen, width),
        memory_details(data, pen, width),
        pressure(data, pen, width),
        sensors(data, pen, width),
    ]
    devices = [disks(data, pen, width), disk_io(data, pen, width), network(data, pen, width)]
    tenants = [processes(picture, pen, width), containers(picture, pen, width)]
    if count == 1:
        return [[*machine[:5], *devices, *machine[5:], *tenants]]
    if count == 2:  # noqa: PLR2004 - columns
        return [[*machine, tenants[0]], [*devices, tenants[1]]]
    return [machine, devices, tenants]


def _beside(columns: list[list[Text]], width: int) -> list[Text]:
    lines = []
    for parts in zip_longest(*columns):
        line = Text()
        for number, part in enumerate(parts):
            if number:
                line.append(" " * GUTTER)
            text = Text() if part is None else part.copy()
            text.truncate(width, pad=number < len(parts) - 1)
            line.append_text(text)
        lines.append(line)
    return lines


def _header(picture: Picture, connection: Connection, pen: Pen, width: int) -> list[Text]:
    state = connection.state
    left = Text(pen.clean(picture.host or connection.place), style="bold")
    if picture.data is not None:
        left.append(f"  up {duration(picture.data.uptime)}", style="not bold")
    right = _health(connection, pen)
    space = width - left.cell_len - right.cell_len
    if space < 1:
        left.truncate(max(0, width - right.cell_len - 1))
        space = max(1, width - left.cell_len - right.cell_len)
    first = left.append(" " * space).append_text(right)
    first.truncate(width)
    if state.error is None or state.status is Status.CONNECTED:
        return [first]
    reason = Text(pen.fit(pen.clean(state.error), width).rstrip(), style="yellow")
    return [first, reason]


def _health(connection: Connection, pen: Pen) -> Text:
    state = connection.state
    if state.status is Status.CONNECTED:
        text = Text(f"{pen.glyphs.up} ", style="green")
        text.append(str(state.transport), style="default")
        if connection.latency is not None:
            text.append(f" {connection.latency * 1000:.0f} ms", style="default")
    else:
        text = Text(f"{pen.glyphs.down} {state.status}", style="bold yellow")
        if connection.retry_in is not None:
            text.append(f", again in {connection.retry_in:.0f} s")
        if state.attempts:
            text.append(f" ({state.attempts} failed)")
    if connection.age is not None:
        text.append(f", {connection.age:.0f} s old", style="default")
    return text


def _footer(picture: Picture, connection: Connection, pen: Pen, width: int) -> Text:
    parts = ["q quit"]
    if picture.interval_ms:
        parts.append(f"every {picture.interval_ms / 1000:g} s")
    parts.append(connection.place)
    if connection.state.server is not None:
        parts.append(f"Pulsewire {connection.state.server.version}")
    text = pen.fit(pen.clean(f"  {pen.glyphs.dot}  ".join(parts)), width).rstrip()
    return Text(text, style="dim")
