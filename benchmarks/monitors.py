"""``python -m benchmarks.monitors``: what watching a machine costs it, here and with others.

Each monitor runs alone on the first processor: idle, with one reader at a message a second, and
with many. Pulsewire pushes its full detail over WebSocket; the others are asked for all that they
have of the host, once a second by each reader, over connections that are kept.
"""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import click
import psutil
from attrs import frozen
from websockets.asyncio.client import connect

from benchmarks.child import Cost, cost
from benchmarks.machine import describe, on_processor, processors

# Netdata closes a connection that does not ask for it.
KEPT = "Connection: keep-alive\r\n"
READY_S = 60
SETTLE_S = 10
SUBSCRIBE = '{"type":"subscribe","channel":"metrics","interval":1000,"detail":"full"}'
HEAD = """\
| monitor | it samples | readers | CPU, s a minute | resident, MiB | bytes a message |
| --- | --- | --- | --- | --- | --- |"""


@frozen
class Monitor:
    """A program to measure: how it is started, and where it tells of the host.

    In the words of ``command``, ``{port}`` and ``{folder}`` stand for a port and for a folder of
    its own. ``path`` is what each reader asks for; empty for Pulsewire, which pushes.
    """

    name: str
    command: tuple[str, ...]
    path: str
    samples: str


@frozen
class Figures:
    """What a monitor cost in one measurement.

    CPU seconds a minute, resident bytes, and the mean size of a message in bytes.
    """

    cpu: float
    resident: int
    message: float


def monitors(glances: str | None) -> list[Monitor]:
    """Return those that are there; Glances is looked for in an environment of its own."""
    ours = (sys.executable, "-m", "app", "--port", "{port}", "--log-level", "warning")
    found = [Monitor("Pulsewire, full", ours, "", "each second")]
    if glances:
        web = (glances, "-w", "-B", "127.0.0.1", "-p", "{port}", "--disable-check-update")
        found.append(Monitor("Glances", web, "/api/4/all", "when it is asked"))
    if program := shutil.which("prometheus-node-exporter"):
        exporter = (program, "--web.listen-address=127.0.0.1:{port}", "--log.level=error")
        found.append(Monitor("node_exporter", exporter, "/metrics", "when it is asked"))
    if program := shutil.which("netdata"):
        netdata = (program, "-D", "-c", "{folder}/netdata.conf")
        path = "/api/v1/allmetrics?format=json"
        found.append(Monitor("Netdata", netdata, path, "each second"))
    return found


# Its data in memory, no plug-ins that look at applications, and nothing that calls home.
NETDATA = """\
[global]
    run as user = root
[db]
    mode = ram
[directories]
    cache = {folder}
    lib = {folder}
    log = {folder}
    registry = {folder}
[web]
    bind to = 127.0.0.1
    default port = {port}
[plugins]
    apps = no
    go.d = no
    python.d = no
    charts.d = no
[health]
    enabled = no
[ml]
    enabled = no
"""


@contextmanager
def running(monitor: Monitor, port: int, folder: Path) -> Iterator[psutil.Process]:
    """Run a monitor on the first processor until it answers; it is ended with the block."""
    (folder / "netdata.conf").write_text(NETDATA.format(folder=folder, port=port), "utf-8")
    command = [word.format(port=port, folder=folder) for word in monitor.command]
    with on_processor(processors()[0]):
        log = (folder / "log").open("wb")
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        _await_answer(f"http://127.0.0.1:{port}{monitor.path or '/readyz'}", process)
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        log.close()


def _await_answer(url: str, process: subprocess.Popen[bytes]) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    patience = time.monotonic() + READY_S
    while process.poll() is None and time.monotonic() < patience:
        try:
            opener.open(url, timeout=5).read()
        except OSError:
            time.sleep(0.2)
        else:
            return
    raise RuntimeError(f"{process.args!r} does not answer at {url}")


async def measured(process: psutil.Process, reader: Reader, readers: int, span: float) -> Figures:
    """Measure for a span of seconds, with so many readers."""
    sizes: list[int] = []
    tasks = [asyncio.ensure_future(reader.read(sizes)) for _ in range(readers)]
    await asyncio.sleep(SETTLE_S)
    before, began = _cost(process), time.monotonic()
    sizes.clear()
    await asyncio.sleep(span)
    after, ended = _cost(process), time.monotonic()
    for task in tasks:
        if task.done():
            task.result()
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    spent = after.since(before).cpu * 60 / (ended - began)
    return Figures(spent, after.resident, sum(sizes) / max(len(sizes), 1))


def _cost(process: psutil.Process) -> Cost:
    return cost([process.pid, *(child.pid for child in process.children(recursive=True))])


@frozen
class Reader:
    """Reads from a monitor, once a second."""

    port: int
    path: str

    async def read(self, sizes: list[int]) -> None:
        """Note the size of each message, until cancelled."""
        await (self._ask(sizes) if self.path else self._listen(sizes))

    async def _listen(self, sizes: list[int]) -> None:
        url = f"ws://127.0.0.1:{self.port}/api/ws"
        async with connect(url, subprotocols=["pulsewire.v1"], proxy=None) as websocket:  # type: ignore[list-item]
            await websocket.send(SUBSCRIBE)
            while True:
                message = str(await websocket.recv())
                if message.startswith('{"type":"metrics"'):
                    sizes.append(len(message))

    async def _ask(self, sizes: list[int]) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        request = f"GET {self.path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{KEPT}\r\n".encode()
        while True:
            began = time.monotonic()
            writer.write(request)
            sizes.append(await _body(reader))
            await asyncio.sleep(max(0.0, began + 1 - time.monotonic()))


async def _body(reader: asyncio.StreamReader) -> int:
    """Read a response and return the size of its body."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    if b"chunked" not in head:
        length = int(head.partition(b"content-length:")[2].split()[0])
        return len(await reader.readexactly(length))
    size = 0
    while length := int(await reader.readline(), 16):
        size += len(await reader.readexactly(length))
        await reader.readline()
    await reader.readline()
    return size


@click.command()
@click.option("--glances", help="The program, in an environment of its own.")
@click.option("--readers", default=100, show_default=True, help="How many are many.")
@click.option("--rounds", default=3, show_default=True)
@click.option("--seconds", default=60.0, show_default=True, help="Of each measurement.")
def main(glances: str | None, readers: int, rounds: int, seconds: float) -> None:
    """Measure what watching a machine costs it, here and with others."""
    results: dict[tuple[Monitor, int], list[Figures]] = {}
    for turn in range(rounds):
        for monitor in monitors(glances):
            with tempfile.TemporaryDirectory() as folder:
                port = _free_port()
                with running(monitor, port, Path(folder)) as process:
                    for count in (0, 1, readers):
                        reader = Reader(port, monitor.path)
                        figures = asyncio.run(measured(process, reader, count, seconds))
                        click.echo(
                            f"round {turn + 1}: {monitor.name}, {count}: {figures}", err=True
                        )
                        results.setdefault((monitor, count), []).append(figures)
    click.echo("\n".join([*(f"- {line}" for line in describe()), "", HEAD]))
    for (monitor, count), group in results.items():
        click.echo(_row(monitor, count, group))


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _row(monitor: Monitor, readers: int, group: Sequence[Figures]) -> str:
    spent = [figures.cpu for figures in group]
    resident = median(figures.resident for figures in group) / 2**20
    size = f"{median(figures.message for figures in group):,.0f}" if readers else ""
    cpu = f"{median(spent):.2f} ({min(spent):.2f} to {max(spent):.2f})"
    return f"| {monitor.name} | {monitor.samples} | {readers} | {cpu} | {resident:.0f} | {size} |"


if __name__ == "__main__":
    main()
