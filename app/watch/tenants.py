"""Who uses the host: processes and containers."""

from __future__ import annotations

from rich.text import Text

from app.watch.figures import Pen, level
from app.watch.picture import Picture
from app.watch.section import Column, Section, table
from schema.containers import Container, ContainersMessage, HeritageContainer
from schema.processes import ProcessesMessage


def processes(picture: Picture, pen: Pen, width: int) -> Section:
    """Show the processes that use most."""
    message = picture.processes
    if message is None:
        trouble = picture.troubles.get(ProcessesMessage.TAG)
        return Section(_trouble(trouble, "Processes", pen, width), rank=8)
    data = message.data
    title = f"Processes {data.total} ({data.running} run)"
    columns = [
        Column(title, 22, right=False),
        Column("CPU", 8),
        Column("memory", 10),
        Column("pid", 8),
        Column("user", 10, right=False),
        Column("read", 12),
        Column("written", 12),
    ]
    rows: list[list[Text | str]] = [
        [
            pen.clean(one.command or one.name),
            Text(pen.percent(one.cpu), style=level(one.cpu_host)),
            pen.size(one.memory_bytes),
            str(one.pid),
            pen.clean(one.user or pen.glyphs.unknown),
            pen.rate(one.read_bytes_per_sec),
            pen.rate(one.write_bytes_per_sec),
        ]
        for one in data.items
    ]
    return Section(table(pen, width, columns, rows), rank=8, least=min(4, 1 + len(rows)))


def containers(picture: Picture, pen: Pen, width: int) -> Section:
    """Show the containers, those that run first."""
    message = picture.containers
    if message is None:
        trouble = picture.troubles.get(ContainersMessage.TAG)
        return Section(_trouble(trouble, "Containers", pen, width), rank=9)
    running = sum(one.state == "running" for one in message.data)
    columns = [
        Column(f"Containers {len(message.data)} ({running} run)", 22, right=False),
        Column("CPU", 8),
        Column("memory", 10),
        Column("of limit", 8),
        Column("state", 10, right=False),
        Column("received", 12),
        Column("sent", 12),
    ]
    rows = [_container(pen, one) for one in sorted(message.data, key=_busiest)]
    return Section(table(pen, width, columns, rows), rank=9, least=min(2, 1 + len(rows)))


def _busiest(one: HeritageContainer) -> tuple[bool, float]:
    cpu = one.cpu if isinstance(one, Container) else None
    return one.state != "running", -((cpu and cpu.cores) or 0.0)


def _container(pen: Pen, one: HeritageContainer) -> list[Text | str]:
    full = one if isinstance(one, Container) else None
    cpu, memory = (full and full.cpu) or None, (full and full.memory) or None
    network = (full and full.network) or None
    usage = cpu and cpu.docker_percent
    health = (full and full.health) or one.state
    style = "" if one.state == "running" else "dim"
    return [
        Text(pen.clean(one.name), style=style),
        Text(pen.percent(usage), style=level(cpu and cpu.usage)),
        pen.size(memory and memory.used),
        pen.percent(memory and memory.usage),
        Text(pen.clean(health), style="bold red" if health == "unhealthy" else style),
        pen.rate(network and network.rx_bytes_per_sec),
        pen.rate(network and network.tx_bytes_per_sec),
    ]


def _trouble(trouble: str | None, label: str, pen: Pen, width: int) -> list[Text]:
    if trouble is None:
        return []
    line = Text(f"{label} ", style="bold").append(pen.clean(trouble), style="not bold yellow")
    line.truncate(width)
    return [line]
