"""The terminal: taken over while the view is shown, and given back as it was."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import termios
import tty
from collections.abc import Callable, Iterator, Mapping, Sequence

import attrs
from attrs import define, field
from rich.console import Console, Group
from rich.control import Control
from rich.text import Text

from app.watch.figures import ASCII, UNICODE, Pen

QUIT = frozenset(b"qQ")
# What most keys of a burst fit in.
KEYS = 64
# In what `termios` returns, the special keys.
SPECIAL = 6


def pen_for(encoding: str) -> Pen:
    """Make the pen for a terminal of this encoding."""
    try:
        "".join(attrs.astuple(UNICODE)).encode(encoding)
    except UnicodeEncodeError:
        return Pen(ASCII, encoding)
    return Pen(UNICODE, encoding)


@contextlib.contextmanager
def keys(pressed: Callable[[bytes], None]) -> Iterator[None]:
    """Hear each key at once and without an echo; Ctrl-C stays what it is, Ctrl-Z does nothing."""
    if not sys.stdin.isatty():
        yield
        return
    descriptor, loop = sys.stdin.fileno(), asyncio.get_running_loop()
    before = termios.tcgetattr(descriptor)
    tty.setcbreak(descriptor)
    now = termios.tcgetattr(descriptor)
    now[SPECIAL][termios.VSUSP] = b"\0"
    termios.tcsetattr(descriptor, termios.TCSANOW, now)
    loop.add_reader(descriptor, lambda: pressed(os.read(descriptor, KEYS)))
    try:
        yield
    finally:
        loop.remove_reader(descriptor)
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


@contextlib.contextmanager
def signals(handlers: Mapping[signal.Signals, Callable[[], object]]) -> Iterator[None]:
    """Handle signals in the event loop."""
    loop = asyncio.get_running_loop()
    for number, handler in handlers.items():
        loop.add_signal_handler(number, handler)
    try:
        yield
    finally:
        for number in handlers:
            loop.remove_signal_handler(number)


@define(eq=False)
class Screen:
    """The whole terminal, by its alternate screen."""

    _console: Console
    _over: bool = False
    _news: asyncio.Event = field(factory=asyncio.Event)

    async def show(self, draw: Callable[[int, int], Sequence[Text]], pause: float) -> None:
        """Draw until somebody wants to go: when there is news, and at the latest after a pause."""
        handlers: dict[signal.Signals, Callable[[], object]] = {
            signal.SIGWINCH: self.refresh,
            signal.SIGINT: self.quit,
            signal.SIGTERM: self.quit,
            signal.SIGHUP: self.quit,
        }
        with self._console.screen() as screen, signals(handlers), keys(self._pressed):
            while not self._over:
                self._news.clear()
                size = self._console.size
                self._console.control(Control.home())
                screen.update(Group(*draw(size.width, size.height)))
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._news.wait()

    def refresh(self) -> None:
        """Take note that there is something new to be shown."""
        self._news.set()

    def quit(self) -> None:
        """Take note that somebody wants to go."""
        self._over = True
        self._news.set()

    def _pressed(self, pressed: bytes) -> None:
        # Nothing can be read where the terminal is gone.
        if not pressed or QUIT & set(pressed):
            self.quit()
