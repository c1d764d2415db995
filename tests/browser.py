"""What tests in a real browser share: the browser, and a server that they may end and start."""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from attrs import define

from tests.process import PATIENCE_S, ROOT, environment

if TYPE_CHECKING:
    from playwright.async_api import Browser

# A browser in a container: no sandbox of its own, and no calls home.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@contextlib.asynccontextmanager
async def launched(**options: Any) -> AsyncIterator[Browser]:  # noqa: ANN401 - Playwright's own
    """Run Debian's Chromium; the options are those of Playwright's ``launch``."""
    # Where it is absent, whoever needs a browser is skipped, and the server below is not.
    from playwright.async_api import async_playwright  # noqa: PLC0415

    async with async_playwright() as playwright:
        program = shutil.which("chromium")
        browser = await playwright.chromium.launch(executable_path=program, args=FLAGS, **options)
        yield browser
        await browser.close()


@define(eq=False)
class Server:
    """Pulsewire as a process of its own, on a port that it keeps when it is started again."""

    flags: tuple[str, ...] = ()
    port: int = 0
    _process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        """Its address for HTTP clients."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, and wait until it listens."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "app", "--port", str(self.port), *self.flags],
            cwd=ROOT,
            env=environment(),
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._process.stderr
        found = (re.search(r" is at http://[^/]+:(\d+)", line) for line in self._process.stderr)
        self.port = next(int(at[1]) for at in found if at)

    def signal(self, number: int) -> None:
        """Send the process a signal."""
        assert self._process
        self._process.send_signal(number)

    def end(self, number: int) -> None:
        """Send the process the signal that ends it, and wait for that."""
        self.signal(number)
        assert self._process
        self._process.communicate(timeout=PATIENCE_S)
