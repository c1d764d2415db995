"""``python -m benchmarks``: measure, and print a table."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
from attrs import asdict

from benchmarks.machine import describe, raise_descriptor_limit
from benchmarks.measure import Figures, measure
from benchmarks.rows import MESSAGES_PER_S, PYTHON_FLOOR, ROWS, Load, Row, c_floor
from benchmarks.table import Result, held, table

NAMES = [row.name for row in ROWS]
# A poll costs so much more than a push that a tenth of the rate fills as much of the time.
POLLS = Load(500, 1.0, 6.0)
HELD = Load(10_000, 1.0, 60.0)
README = Path(__file__).parent / "README.md"
BEGIN, END = "<!-- table -->\n", "<!-- /table -->\n"


class Names(click.ParamType[list[str]]):
    """A list of names or numbers, separated by commas."""

    name = "list"

    def __init__(self, known: Sequence[str] = ()) -> None:
        self._known = known

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> list[str]:
        """Split, and refuse what is not known."""
        names = value.split(",") if value else []
        for name in names:
            if self._known and name not in self._known:
                self.fail(f"{name!r} is none of {', '.join(self._known)}", param, ctx)
        return names


@click.command()
@click.option(
    "--rows", type=Names([*NAMES, "hold"]), default=",".join([*NAMES, "hold"]), show_default=True
)
@click.option("--clients", type=Names(), default="1000,4000", show_default=True)
@click.option("--rounds", default=3, show_default=True)
@click.option("--seconds", default=4.0, show_default=True, help="Of each measurement.")
@click.option("--out", type=click.Choice(["table", "json", "readme"]), default="table")
def main(rows: list[str], clients: list[str], rounds: int, seconds: float, out: str) -> None:
    """Measure what a delivered message costs, here and with what people would use instead."""
    raise_descriptor_limit()
    machine = describe()
    chosen = [row for row in ROWS if row.name in rows]
    skipped = [f"- `{row.name}` skipped: {row.missing()}" for row in chosen if row.missing()]
    for line in skipped:
        click.echo(line, err=True)
    pushes = [Load(int(count), MESSAGES_PER_S / int(count), seconds) for count in clients]
    with tempfile.TemporaryDirectory() as folder:
        present = [row for row in chosen if not row.missing()]
        floors = [row for row in (PYTHON_FLOOR, c_floor(folder)) if row is not None]
        results = [
            result for turn in range(rounds) for result in measured(turn, present, pushes, floors)
        ]
    hold = measure(ROWS[0], HELD, {"ws": 5000, "sse": 5000}) if "hold" in rows else None
    if out == "json":
        click.echo(json.dumps(as_json(machine, results, hold), indent=1))
        return
    lines = [*(f"- {line}" for line in machine), *skipped, ""]
    lines += table(results) if results else []
    if hold is not None:
        what = f"{HELD.clients:,} clients, half of them WebSocket and half SSE, direct, a message "
        lines += ["", f"{what}a second each, for {HELD.seconds:.0f} s:", ""]
        lines += [f"- {line}" for line in held(hold)]
    click.echo("\n".join(lines))
    if out == "readme":
        keep(lines)


def measured(
    turn: int, rows: Sequence[Row], pushes: Sequence[Load], floors: Sequence[Row]
) -> Iterator[Result]:
    """Measure one round: the floors, every row under its loads, and the floors again."""
    loads = {row: [POLLS] if row.polls else pushes for row in rows}
    met = dict.fromkeys(load for row in rows for load in loads[row])
    plan = [(row, load) for load in met for row in floors]
    # The second floors in the other order, so that each is as near to the rows.
    plan = [*plan, *((row, load) for row in rows for load in loads[row]), *plan[::-1]]
    for row, load in plan:
        figures = measure(row, load)
        click.echo(
            f"round {turn + 1}: {row.name}, {load.clients} clients: "
            f"{figures.us_per_message:.2f} µs",
            err=True,
        )
        yield Result(row, load, turn, figures)


def as_json(machine: list[str], results: Sequence[Result], hold: Figures | None) -> object:
    """Return all figures of all rounds."""
    return {
        "machine": machine,
        "results": [
            {
                "row": result.row.name,
                **asdict(result.load),
                "round": result.turn + 1,
                **asdict(result.figures),
            }
            for result in results
        ],
        "hold": hold and asdict(hold),
    }


def keep(lines: Sequence[str]) -> None:
    """Put a table in the place of the one in the README."""
    before, _, rest = README.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    text = "\n".join(["", *lines, "", ""])
    README.write_text(f"{before}{BEGIN}{text}{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
