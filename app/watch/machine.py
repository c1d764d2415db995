"""Processors, memory, pressure, sensors."""

from __future__ import annotations

from collections.abc import Iterator

from rich.text import Text

from app.watch.figures import Pen, level
from app.watch.picture import Data, Picture
from app.watch.section import LABEL, Section, labelled, wrapped
from schema.devices import Temperature
from schema.metrics import Full
from schema.pressure import Stall

BAR = 24
# More processors than this are drawn as one cell each.
CORES_APART = 32
CELL = 17


def cpu(picture: Picture, data: Data, pen: Pen, width: int) -> Section:
    """Show the processors together, now and lately."""
    load = "load " + " ".join(pen.number(mean, digits=2) for mean in data.cpu.load_avg)
    parts: list[Text | str] = [_meter(pen, data.cpu.usage, width), load]
    if isinstance(data, Full):
        parts.append(f"max {pen.percent(data.cpu.usage_max)}")
    lines = [labelled(pen, "CPU", *parts, width=width)]
    past = pen.sparkline(list(picture.cpu), width - LABEL)
    lines.append(labelled(pen, "", past, width=width))
    return Section(lines, rank=0, least=2)


def cpu_details(data: Data, pen: Pen, width: int) -> Section:
    """Show where the processors' time went."""
    items = _shares(data, pen) if isinstance(data, Full) else ()
    return Section(wrapped(pen, "", items, width), rank=10, least=0)


def _meter(pen: Pen, percent: float | None, width: int) -> Text:
    bar = pen.bar(percent, min(BAR, max(4, width // 5)))
    return bar.append(f" {pen.percent(percent):>7}", style=level(percent))


def _shares(data: Full, pen: Pen) -> Iterator[Text]:
    for name in ("user", "system", "nice", "iowait", "irq", "softirq", "steal"):
        yield Text(f"{name} {pen.percent(getattr(data.cpu, name))}", style="dim")
    cores = f"{data.cpu.cores} cores"
    if data.cpu.frequency_MHz is not None:
        cores += f" at {pen.number(data.cpu.frequency_MHz, 'MHz', 0)}"
    yield Text(cores, style="dim")
    if data.cpu.limit_cores is not None:
        throttled = pen.percent(data.cpu.throttled_percent)
        yield Text(
            f"limited to {pen.number(data.cpu.limit_cores)}, held back {throttled}", style="dim"
        )


def cores(data: Data, pen: Pen, width: int) -> Section:
    """Show each processor."""
    loads = data.cpu.per_core if isinstance(data, Full) else []
    if not loads:
        return Section([], rank=4)
    room = width - LABEL
    if len(loads) > CORES_APART or room < CELL:
        cells = [Text(pen.height(load), style=level(load)) for load in loads]
        each = max(1, room)
        rows = [Text().join(cells[at : at + each]) for at in range(0, len(cells), each)]
    else:
        cells = [_core(pen, number, load) for number, load in enumerate(loads)]
        each = room // CELL
        rows = [Text().join(cells[at : at + each]) for at in range(0, len(cells), each)]
    names = ["Cores", *[""] * len(rows)]
    lines = [labelled(pen, name, row, width=width) for name, row in zip(names, rows, strict=False)]
    return Section(lines, rank=4)


def _core(pen: Pen, number: int, load: float | None) -> Text:
    text = Text(f"{number:>2} ", style="dim").append_text(pen.bar(load, 7))
    return text.append(f" {pen.number(load, digits=0):>3}%  ", style=level(load))


def memory(data: Data, pen: Pen, width: int) -> Section:
    """Show main memory and swap."""
    used = data.memory
    parts: list[Text | str] = [_meter(pen, used.usage, width), pen.share(used.used, used.total)]
    lines = [labelled(pen, "Memory", *parts, width=width)]
    if isinstance(data, Full):
        lines.append(_swap(data, pen, width))
    return Section(lines, rank=1, least=2)


def memory_details(data: Data, pen: Pen, width: int) -> Section:
    """Show what memory is used for."""
    items = _kinds(data, pen) if isinstance(data, Full) else ()
    return Section(wrapped(pen, "", items, width), rank=11, least=0)


def _swap(data: Full, pen: Pen, width: int) -> Text:
    swap = data.swap
    if swap is None or swap.total is None:
        return labelled(pen, "Swap", pen.glyphs.unknown, width=width)
    if not swap.total:
        return labelled(pen, "Swap", Text("none", style="dim"), width=width)
    traffic = f"in {pen.rate(swap.in_bytes_per_sec)}, out {pen.rate(swap.out_bytes_per_sec)}"
    share = pen.share(swap.used, swap.total)
    return labelled(pen, "Swap", _meter(pen, swap.usage, width), share, traffic, width=width)


def _kinds(data: Full, pen: Pen) -> Iterator[Text]:
    if data.memory.limit is not None:
        limit, usage = pen.size(data.memory.limit), pen.percent(data.memory.limit_usage)
        yield Text(f"limit {limit}, {usage} used", style=level(data.memory.limit_usage))
    for name in ("cached", "buffers", "shared", "unused"):
        yield Text(f"{name} {pen.size(getattr(data.memory, name))}", style="dim")
    if data.memory.zfs_arc is not None:
        yield Text(f"ZFS ARC {pen.size(data.memory.zfs_arc)}", style="dim")


def pressure(data: Data, pen: Pen, width: int) -> Section:
    """Show what tasks waited for."""
    if not isinstance(data, Full) or data.pressure is None:
        return Section([], rank=6)
    stalls = {name: getattr(data.pressure, name) for name in ("cpu", "memory", "io", "irq")}
    items = [_stall(pen, name, stall) for name, stall in stalls.items() if stall is not None]
    return Section(wrapped(pen, "Pressure", items, width), rank=6)


def _stall(pen: Pen, name: str, stall: Stall) -> Text:
    some = stall.full if stall.some is None else stall.some
    text = Text(f"{name} ").append(pen.percent(some), style=level(some))
    if stall.some is not None and stall.full is not None:
        text.append(f" (all {pen.percent(stall.full)})", style="dim")
    return text


def sensors(data: Data, pen: Pen, width: int) -> Section:
    """Show temperatures, fans and the battery."""
    if not isinstance(data, Full):
        return Section([], rank=7)
    warmest = sorted(data.temperatures, key=lambda one: -(one.celsius or 0.0))
    lines = wrapped(pen, "Temps", [_warmth(pen, one) for one in warmest], width)
    others = [
        Text(f"{pen.clean(one.label or one.sensor)} {pen.number(one.rpm, 'rpm', 0)}")
        for one in data.fans
    ]
    lines += wrapped(pen, "Fans", others, width)
    if data.battery is not None:
        charge = f"{pen.percent(data.battery.percent)}{' charging' * bool(data.battery.charging)}"
        lines.append(labelled(pen, "Battery", charge, width=width))
    return Section(lines, rank=7)


def _warmth(pen: Pen, one: Temperature) -> Text:
    reading, style = one.celsius, "green"
    if reading is not None and one.high is not None and reading >= one.high:
        style = "yellow"
    if reading is not None and one.critical is not None and reading >= one.critical:
        style = "bold red"
    name = pen.clean(f"{one.sensor} {one.label}".strip())
    return Text(f"{name} ").append(pen.number(reading, pen.glyphs.degree, 0), style=style)
