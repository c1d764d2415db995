"""The results as tables in Markdown: medians over the rounds, with the lowest and highest."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from statistics import mean, median

from attrs import frozen

from benchmarks.measure import Figures
from benchmarks.rows import Load, Row

HEAD = (
    "server",
    "clients",
    "CPU a message, µs",
    "to `socket.send`",
    "to `send` in C",
    "memory a client, kB",
    "CPU an accept, µs",
    "last reader, ms, p50 / p99",
    "longest pause, ms",
)
# Above this share of the time the load generator may be what is measured.
BUSY = 0.7
# Who publishes less than this share of what it should was busy all the time.
MOST = 0.97
# Whom to compare with whom.
AGAINST = (
    ("ws-direct", "nchan-ws"),
    ("sse-direct", "nchan-sse"),
    ("poll", "nchan-poll"),
    ("poll", "starlette-poll"),
)


@frozen
class Result:
    """What one row gave under one load in one round."""

    row: Row
    load: Load
    turn: int
    figures: Figures


def table(results: Sequence[Result]) -> list[str]:
    """Return the table of all rows, then that of the comparisons, then remarks."""
    lines = [_line(HEAD), _line(["---"] * len(HEAD))]
    lines += [_line(_cells(group, results)) for group in _groups(results)]
    against = [line for ours, theirs in AGAINST for line in _against(ours, theirs, results)]
    if against:
        lines += ["", _line(("CPU a message", "clients", "ratio")), _line(["---"] * 3), *against]
    remarks = [remark for group in _groups(results) for remark in _remarks(group)]
    return [*lines, *(["", *remarks] if remarks else [])]


def held(figures: Figures) -> list[str]:
    """Return what there is to say about a run with very many clients."""
    return [
        f"{figures.lost} of {figures.expected} deliveries lost",
        f"{figures.closed} connections closed",
        f"{figures.busy:.1%} of a processor, {figures.us_per_message:.1f} µs a message",
        f"{figures.resident / 2**20:.0f} MiB resident",
        f"{figures.bytes_per_client / 1024:.1f} kB a client",
        f"{figures.late_ms[0]:.1f} ms late at p50, {figures.late_ms[1]:.1f} ms at p99",
        f"{figures.pause_ms or 0:.0f} ms the longest pause of the loop",
        f"{figures.accept_us:.0f} µs of CPU an accept",
    ]


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _groups(results: Sequence[Result]) -> list[list[Result]]:
    """Gather the rounds of each row and load, the fastest ticks first."""
    keys = dict.fromkeys((result.row.name, result.load) for result in results)
    groups = [[r for r in results if (r.row.name, r.load) == key] for key in keys]
    return sorted(groups, key=lambda group: -group[0].load.hz)


def _cells(group: Sequence[Result], results: Sequence[Result]) -> list[str]:
    def spread(get: Callable[[Figures], float], digits: int) -> str:
        return _spread([get(result.figures) for result in group], digits)

    row, load = group[0].row, group[0].load
    mark = " \\*" if _published(group) < MOST else ""
    # Its clients are accepted without a word.
    floor = row.dialect == "raw"
    pauses = [r.figures.pause_ms for r in group if r.figures.pause_ms is not None]
    late = [median(r.figures.spread_ms[at] for r in group) for at in (0, 1)]
    return [
        row.title + mark,
        f"{load.clients:,}",
        spread(lambda figures: figures.us_per_message, 1),
        _spread(_ratios(group, "floor", results), 2),
        _spread(_ratios(group, "floor-c", results), 2),
        "" if floor else f"{median(r.figures.bytes_per_client for r in group) / 1024:.1f}",
        "" if floor else spread(lambda figures: figures.accept_us, 0),
        f"{late[0]:.0f} / {late[1]:.0f}",
        _spread(pauses, 0),
    ]


def _spread(values: Sequence[float], digits: int) -> str:
    if not values:
        return ""
    middle = f"{median(values):.{digits}f}"
    if len(values) == 1:
        return middle
    return f"{middle} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def _ratios(group: Sequence[Result], name: str, results: Sequence[Result]) -> list[float]:
    """Return, for each round, what the group cost against the mean of another row."""
    ratios = []
    for result in group:
        others = [
            other.figures.us_per_message
            for other in results
            if (other.row.name, other.load, other.turn) == (name, result.load, result.turn)
        ]
        if others:
            ratios.append(result.figures.us_per_message / mean(others))
    return ratios


def _against(ours: str, theirs: str, results: Sequence[Result]) -> list[str]:
    lines = []
    for group in _groups([result for result in results if result.row.name == ours]):
        ratios = _ratios(group, theirs, results)
        if ratios:
            what = f"`{ours}` to `{theirs}`"
            lines.append(_line((what, f"{group[0].load.clients:,}", _spread(ratios, 2))))
    return lines


def _published(group: Sequence[Result]) -> float:
    return median(result.figures.expected / result.figures.wanted for result in group)


def _remarks(group: Sequence[Result]) -> list[str]:
    name = f"`{group[0].row.name}` with {group[0].load.clients:,} clients"
    remarks = []
    lost = sum(result.figures.lost for result in group)
    closed = sum(result.figures.closed for result in group)
    published = _published(group)
    reader = max(result.figures.reader_busy for result in group)
    if lost or closed:
        remarks.append(f"- {name}: {lost} deliveries lost, {closed} connections closed")
    if published < MOST:
        remarks.append(f"- \\* {name}: could publish only {published:.0%} of what it should have")
    if reader > BUSY:
        remarks.append(f"- {name}: the reader was busy for {reader:.0%} of the time")
    return remarks
