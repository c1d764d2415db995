"""What a pass over all processes costs, and how long it holds up the event loop.

``python -m benchmarks.processes [--count N] [--passes N]``. So many processes are started that
sleep; the source looks at them once a second, on a thread, as in the server.
"""

from __future__ import annotations

import asyncio
import os
import signal
import statistics
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import click

from app.core.source import Window
from app.core.worker import Worker
from app.sources.processes import ProcessSample, ProcessSource
from benchmarks.machine import describe
from schema.fields import Detail

SLEEPERS = 'i=0; while [ $i -lt "$0" ]; do sleep 3600 & i=$((i+1)); done; echo; wait'
BEAT_S = 0.0005


@contextmanager
def sleepers(count: int) -> Iterator[None]:
    """Have so many processes that sleep."""
    started, told = os.pipe()
    shell = subprocess.Popen(
        ["sh", "-c", SLEEPERS, str(count)], stdout=told, start_new_session=True
    )
    try:
        os.read(started, 1)
        yield
    finally:
        os.killpg(shell.pid, signal.SIGTERM)
        shell.wait()
        os.close(started)
        os.close(told)


async def lag(until: asyncio.Future[float]) -> float:
    """Give the longest time, in seconds, by which the loop was late before a future was done."""
    longest = 0.0
    while not until.done():
        began = time.perf_counter()
        await asyncio.sleep(BEAT_S)
        longest = max(longest, time.perf_counter() - began - BEAT_S)
    return longest


def tell(name: str, seconds: list[float]) -> None:
    """Print the median and the worst of some times."""
    click.echo(f"{name}: {1000 * statistics.median(seconds):.1f}, worst {1000 * max(seconds):.1f}")


def cost(source: ProcessSource, samples: list[ProcessSample]) -> float:
    """Take a sample; gives the processor time of it in seconds, by the thread's own clock."""
    began = time.thread_time()
    samples.append(source.sample())
    return time.thread_time() - began


async def measure(count: int, passes: int) -> None:
    """Take samples of so many processes, and print what that cost."""
    worker, source = Worker("processes"), ProcessSource(commands=True)
    samples: list[ProcessSample] = []
    costs, lags, idle, renders = [], [], [], []
    for number in range(passes):
        call = worker.call(lambda: cost(source, samples))
        lags.append(await lag(call))
        costs.append(await call)
        rest = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(0.9, rest.set_result, 0.0)
        idle.append(await lag(rest))
        if number:
            window = Window(samples[-2:], 1.0)
            began = time.perf_counter()
            source.render(window, Detail.FULL)
            renders.append(time.perf_counter() - began)
    worker.stop()
    click.echo(f"{samples[-1].total} processes ({count} asleep), {passes} passes")
    click.echo(f"first pass, CPU ms: {1000 * costs[0]:.1f}")
    tell("pass, CPU ms", costs[1:])
    tell("loop late during a pass, ms", lags[1:])
    tell("loop late without a pass, ms", idle)
    tell("render of full detail, ms", renders)


@click.command()
@click.option("--count", default=1000, show_default=True)
@click.option("--passes", default=20, show_default=True)
def main(count: int, passes: int) -> None:
    """Print what a pass costs."""
    click.echo("\n".join((*describe(), "")))
    with sleepers(count):
        asyncio.run(measure(count, passes))


if __name__ == "__main__":
    main()
