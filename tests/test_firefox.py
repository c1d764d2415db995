"""The dashboard's main path in Firefox, driven over WebDriver BiDi, which it speaks by itself."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import re
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from attrs import define, field
from websockets.asyncio.client import ClientConnection, connect

from tests.process import PATIENCE_S, running

pytestmark = pytest.mark.external("firefox-esr")

# It must not call home.
PREFERENCES = """
user_pref("app.normandy.enabled", false);
user_pref("browser.region.network.url", "");
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("network.captive-portal-service.enabled", false);
user_pref("network.connectivity-service.enabled", false);
user_pref("services.settings.server", "data:,none");
"""
LISTENING = re.compile(r"WebDriver BiDi listening on (ws://\S+)")
# Resolves as soon as the element's text is that one.
SHOWS = """(selector, pattern) => new Promise((resolve) => {
  const look = () => {
    const text = document.querySelector(selector)?.textContent ?? "";
    if (new RegExp(`^(${pattern})$`).test(text)) resolve(text);
    else setTimeout(look, 50);
  };
  look();
})"""
# Resolves with the line when it is drawn the next time.
NEXT_LINE = """() => new Promise((resolve) => {
  const line = document.querySelector("#cpu .line");
  const watch = new MutationObserver(() => resolve(line.getAttribute("d")));
  watch.observe(line, { attributes: true });
})"""
CHOOSE = "() => document.querySelector('[value=\"1000\"]').click()"


@define(eq=False)
class Tab:
    """A tab of the browser; `complaints` is what its console was told."""

    _socket: ClientConnection
    _id: str = ""
    complaints: list[str] = field(factory=list)
    _numbers: itertools.count[int] = field(factory=itertools.count)

    async def ask(self, method: str, **params: Any) -> Any:  # noqa: ANN401 - JSON
        """Send a command and return its result."""
        number = next(self._numbers)
        await self._socket.send(json.dumps({"id": number, "method": method, "params": params}))
        async with asyncio.timeout(PATIENCE_S):
            while True:
                message = json.loads(await self._socket.recv())
                if message.get("method") == "log.entryAdded":
                    self.complaints.append(message["params"]["text"])
                elif message.get("id") == number:
                    assert message["type"] == "success", message
                    return message["result"]

    async def open(self, address: str) -> None:
        """Load a page."""
        await self.ask("session.new", capabilities={})
        await self.ask("session.subscribe", events=["log.entryAdded"])
        self._id = (await self.ask("browsingContext.getTree"))["contexts"][0]["context"]
        await self.ask("browsingContext.navigate", context=self._id, url=address, wait="complete")

    async def call(self, function: str, *arguments: str) -> str:
        """Call a function in the page and return the text that it returns."""
        answer = await self.ask(
            "script.callFunction",
            functionDeclaration=function,
            arguments=[{"type": "string", "value": argument} for argument in arguments],
            awaitPromise=True,
            target={"context": self._id},
        )
        assert answer["type"] == "success", answer
        return str(answer["result"].get("value", ""))


@contextlib.asynccontextmanager
async def firefox() -> AsyncIterator[Tab]:
    """Run a browser of its own, which keeps nothing."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        (Path(home) / "user.js").write_text(PREFERENCES, encoding="utf-8")
        process = await asyncio.create_subprocess_exec(
            "firefox-esr",
            *("--headless", "--no-remote", "--profile", home, "--remote-debugging-port", "0"),
            env={"HOME": home, "MOZ_CRASHREPORTER_DISABLE": "1"},
            stderr=asyncio.subprocess.PIPE,
        )
        assert process.stderr
        try:
            found = None
            while not found:
                found = LISTENING.search((await process.stderr.readline()).decode())
            async with connect(f"{found[1]}/session", proxy=None, max_size=None) as socket:
                yield Tab(socket)
        finally:
            process.kill()
            await process.communicate()


async def test_the_dashboard_works_in_firefox() -> None:
    """It paints, goes on, and has nothing to complain of; the interval can be switched."""
    async with running() as server, firefox() as tab:
        await tab.open(await server.url())
        await tab.call(SHOWS, "#state", "Live")
        await tab.call(SHOWS, "#transport", "WebSocket")
        await tab.call(SHOWS, "#cpu .number", r"\d+\.\d")
        await tab.call(CHOOSE)
        await tab.call(SHOWS, "#cpu .past", "5 min ago")
        line = await tab.call(NEXT_LINE)
        assert re.search(r"L1000\.0 \d+\.\dh0$", line)
        assert await tab.call(NEXT_LINE) != line
        assert tab.complaints == []
