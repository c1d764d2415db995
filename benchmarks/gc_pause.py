"""How long garbage collection stops the loop at 10,000 connections, as it may be arranged.

``python -m benchmarks.gc_pause [--clients N] [--seconds S]``. Half are WebSockets, half event
streams, on the direct path. The clients come; then each gets a message every second; then besides
one in a hundred goes every second and a new one comes; then all go.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import click
from attrs import evolve

from benchmarks.child import Child, cost
from benchmarks.machine import describe, raise_descriptor_limit
from benchmarks.measure import reader_of, server_of
from benchmarks.rows import ROWS, python
from benchmarks.servers.collection import ARRANGEMENTS

HEAD = (
    "| arrangement | phase | longest pass by generation, ms | all passes, ms | loop pause, ms "
    "| RSS, MiB | objects tracked | frozen |"
)


def phases(
    arrangement: str, clients: int, seconds: int
) -> Iterator[tuple[str, dict[str, Any], int]]:
    """Run one arrangement; yields each phase, what it cost, and the resident bytes after it."""
    row = evolve(ROWS[0], command=python("pulsewire", "direct", arrangement))
    with server_of(row) as (server, port, pids):

        def tell(phase: str, command: str = "report") -> tuple[str, dict[str, Any], int]:
            server.tell(command)
            return phase, server.answer(), cost(pids).resident

        yield tell("empty")
        with reader_of(port, {"ws": clients // 2, "sse": clients // 2}) as reader:
            reader.answer()
            time.sleep(1)
            yield tell("coming")
            yield tell("settling", "settle")
            server.tell(f"go 1 {seconds}")
            server.answer()
            yield tell("steady")
            server.tell(f"go 1 {seconds}")
            churn(reader, clients // 100, seconds)
            server.answer()
            yield tell("churning")
        time.sleep(3)
        yield tell("gone")
        yield tell("collected", "collect")


def churn(reader: Child, count: int, seconds: int) -> None:
    """Have so many clients replaced each second."""
    for _ in range(seconds):
        reader.tell(f"churn {count}")
        time.sleep(1)


@click.command()
@click.option("--clients", default=10_000, show_default=True)
@click.option("--seconds", default=20, show_default=True, help="Of each of the two long phases.")
@click.option("--arrangements", default=",".join(ARRANGEMENTS), show_default=True)
def main(clients: int, seconds: int, arrangements: str) -> None:
    """Print a table of garbage collection's pauses."""
    raise_descriptor_limit()
    click.echo("\n".join((*describe(), "", HEAD, "|---|---|---|---|---|---|---|---|")))
    for name in arrangements.split(","):
        for phase, told, resident in phases(name, clients, seconds):
            longest = " / ".join(f"{value:.0f}" for value in told["longest_ms"])
            click.echo(
                f"| {ARRANGEMENTS[name]} | {phase} | {longest} | {told['total_ms']:.0f} "
                f"| {told['pause_ms']:.0f} | {resident / 2**20:.0f} "
                f"| {told['objects']} | {told['frozen']} |"
            )


if __name__ == "__main__":
    main()
