"""Runs the view: on the terminal, as plain text, or as JSON for other programs."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Coroutine

from attrs import frozen
from rich.console import Console

from app.client import Client, RefusedError, State, Status
from app.watch.terminal import Screen, pen_for
from app.watch.watching import Watch, metrics
from schema.metrics import MetricsMessage

REFUSED = 1
PAUSE_S = 1.0


@frozen
class Options:
    """What the command line says."""

    url: str
    transport: str
    interval: int
    uds: str | None
    insecure: bool
    json: bool
    no_color: bool


class Paper(Console):
    """A console that tells when nobody reads any more, as other files do."""

    def on_broken_pipe(self) -> None:
        """Let the error pass."""
        self.quiet = True
        raise BrokenPipeError


def run(options: Options) -> int:
    """Watch until it is enough: q, Ctrl-C, or a pipe that is closed; then 0, 1 if refused.

    Raises:
        ValueError: the address is none.
    """
    console = Paper(highlight=False, no_color=True if options.no_color else None)
    shown = console.is_terminal and not options.json
    client = Client(
        options.url,
        {"metrics": metrics(options.interval)},
        transport=options.transport,
        uds=options.uds,
        verify=not options.insecure,
        on_state=(lambda _state: None) if shown else _complain,
    )
    watch = Watch(client, options.url, options.interval)
    if options.json:
        return _status(print_messages(client))
    return _status(show(watch, console) if shown else print_pictures(watch, console))


def _status(work: Coroutine[None, None, None]) -> int:
    try:
        return asyncio.run(_judged(work))
    except BrokenPipeError:
        # Nobody reads any more; the interpreter shall not try again at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        pass
    return 0


async def _judged(work: Coroutine[None, None, None]) -> int:
    try:
        await work
    except RefusedError as error:
        sys.stderr.write(f"pulsewire: {error}\n")
        return REFUSED
    return 0


def _complain(state: State) -> None:
    """Tell why there is no connection, each time that it was tried."""
    if state.error is not None and state.status in {Status.CONNECTING, Status.RECONNECTING}:
        sys.stderr.write(f"pulsewire: {state.status}: {state.error}\n")


async def show(watch: Watch, console: Console) -> None:
    """Show it on the whole terminal, until somebody wants to go.

    Raises:
        RefusedError: the server will not have us.
    """
    pen, screen = pen_for(console.encoding), Screen(console)

    async def read() -> None:
        try:
            async for message in watch.client:
                watch.take(message)
                screen.refresh()
        finally:
            screen.quit()

    async with watch.client:
        reading = asyncio.ensure_future(read())
        await screen.show(lambda width, height: watch.draw(pen, width, height), PAUSE_S)
        reading.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await reading


async def print_pictures(watch: Watch, console: Console) -> None:
    """Print one picture after the other, where there is no terminal to draw on.

    Raises:
        RefusedError: the server will not have us.
    """
    pen = pen_for(console.encoding)
    async with watch.client:
        async for message in watch.client:
            watch.take(message)
            if isinstance(message, MetricsMessage):
                for line in watch.draw(pen, console.width, None):
                    console.print(line, no_wrap=True, overflow="crop", crop=False)
                console.print()


async def print_messages(client: Client) -> None:
    """Print the messages as they come, one a line.

    Raises:
        RefusedError: the server will not have us.
    """
    async with client:
        async for text in client.texts():
            sys.stdout.write(f"{text}\n")
            sys.stdout.flush()
