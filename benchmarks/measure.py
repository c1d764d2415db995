"""One measurement: a server on its processor, readers on the other, and what it has cost."""

from __future__ import annotations

import contextlib
import socket
import sys
import time
from collections.abc import Iterator, Mapping

from attrs import field, frozen

from benchmarks.child import Child, cost
from benchmarks.machine import on_processor, processors
from benchmarks.rows import Load, Row

# What connections leave behind them is done by then.
SETTLE_S = 0.8
# What is under way when the last message has been published arrives by then.
TRAIL_S = 0.3


@frozen(kw_only=True)
class Figures:
    """What came out: microseconds, milliseconds, bytes; ``spread`` and ``late`` are p50 and p99.

    ``spread`` is the time from the publication of a message to its last reader, ``late`` that to
    each reader. ``pause_ms`` is the event loop's longest, None where nobody can tell.
    """

    us_per_message: float
    bytes_per_client: float
    accept_us: float
    resident: int
    busy: float
    pause_ms: float | None
    spread_ms: tuple[float, float] = field(converter=tuple)
    late_ms: tuple[float, float] = field(converter=tuple)
    received: int
    expected: int
    wanted: int
    closed: int
    reader_busy: float

    @property
    def lost(self) -> int:
        """Deliveries that did not come, of those that were published."""
        return self.expected - self.received


@contextlib.contextmanager
def server_of(row: Row) -> Iterator[tuple[Child, int, tuple[int, ...]]]:
    """Start a row's server; yields it, its port, and the processes that count."""
    port = _free_port()
    command = [port if part == "{port}" else part for part in row.command]
    with contextlib.ExitStack() as stack:
        if not row.pins_itself:
            stack.enter_context(on_processor(processors()[0]))
        server = Child(command)
        stack.close()
        with server:
            answer = server.answer()
            yield server, answer["port"], tuple(answer["pids"])


@contextlib.contextmanager
def reader_of(port: int, clients: Mapping[str, int]) -> Iterator[Child]:
    """Start a load generator with so many clients of each dialect."""
    wanted = [f"{dialect}:{count}" for dialect, count in clients.items()]
    with on_processor(processors()[1]):
        reader = Child([sys.executable, "-m", "benchmarks.reader", str(port), *wanted])
    with reader:
        yield reader


def measure(row: Row, load: Load, clients: Mapping[str, int] | None = None) -> Figures:
    """Measure a row under a load; ``clients`` counts them by dialect where there are several."""
    with server_of(row) as (server, port, pids):
        empty = cost(pids)
        with reader_of(port, clients or {row.dialect: load.clients}) as reader:
            reader.answer()
            time.sleep(SETTLE_S)
            idle = cost(pids)
            reader.tell("reset")
            began = time.monotonic()
            server.tell(f"go {load.hz} {load.seconds}")
            told = server.answer()
            time.sleep(TRAIL_S)
            took = time.monotonic() - began
            done = cost(pids)
            reader.tell("report")
            seen = reader.answer()
    work, opening = done.since(idle), idle.since(empty)
    return Figures(
        us_per_message=work.cpu / max(seen["received"], 1) * 1e6,
        bytes_per_client=opening.resident / load.clients,
        accept_us=opening.cpu / load.clients * 1e6,
        resident=done.resident,
        busy=work.cpu / took,
        pause_ms=told["pause_ms"],
        spread_ms=seen["spread_ms"],
        late_ms=seen["late_ms"],
        received=seen["received"],
        expected=told["ticks"] * load.clients,
        wanted=round(load.hz * load.seconds) * load.clients,
        closed=seen["closed"],
        reader_busy=seen["busy"],
    )


def _free_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return str(probe.getsockname()[1])
