"""What docs/clients.md says is true: its scripts run in a browser, its tables are the tests' own.

Its commands, and the Python programs that they run, are run by tests/test_docs.py, as those of all
pages are.
"""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from app.server import KEEP_ALIVE_S
from app.settings import Settings
from schema.query import WAIT_MAX_S
from tests import process, proxies
from tests.browser import launched
from tests.test_docs import ADDRESS, Block, blocks, prose, table
from tests.test_proxies import PASSES
from tests.test_react import CLIENT, install, run

if TYPE_CHECKING:
    from playwright.async_api import Page

async_api = pytest.importorskip("playwright.async_api")

PAGE = "docs/clients.md"
CPU = re.compile(r"CPU \d+(\.\d+)? %.*")
# In the order of the page: the client, EventSource, WebSocket.
SCRIPTS = [block for block in blocks("javascript") if block.page == PAGE]
SHOWN_AS = {"websocket": "WebSocket", "sse": "SSE", "longpoll": "long-poll"}
MOUNT = """
import { createRoot } from "react-dom/client";
import { Load } from "./example.jsx";

createRoot(document.body.appendChild(document.createElement("main"))).render(<Load />);
"""


@pytest.fixture(scope="module")
async def address() -> AsyncIterator[str]:
    async with process.running() as server:
        yield await server.url()


@pytest.fixture
async def page(address: str) -> AsyncIterator[Page]:
    """Open a page of the server that allows scripts of any kind."""
    async with launched() as browser:
        page = await browser.new_page()
        await page.goto(f"{address}/healthz")
        yield page


@pytest.mark.external("chromium")
async def test_each_script_prints_live_figures(page: Page) -> None:
    """In a page of the server, as it stands there; all at one time, and each more than once."""
    assert len(SCRIPTS) == 3
    for number, script in enumerate(SCRIPTS):
        text = script.text.replace("`CPU ", f"`{number}: CPU ")
        await page.add_script_tag(content=text, type="module")
    for number in range(len(SCRIPTS)):
        for _ in range(2):
            await page.wait_for_event("console", lambda said, n=number: told(said.text, n))


def told(text: str, number: int) -> bool:
    script, _, rest = text.partition(": ")
    return script == str(number) and CPU.fullmatch(rest) is not None


@pytest.mark.external("chromium")
@pytest.mark.external("npm")
@pytest.mark.timeout(180)
async def test_the_hook_shows_live_figures(page: Page, tmp_path: Path) -> None:
    """Packed, installed and bundled as an app has it."""
    (example,) = blocks("jsx")
    bundle = await asyncio.to_thread(bundled, example, tmp_path)
    await page.add_script_tag(content=bundle, type="module")
    await async_api.expect(page.locator("main")).to_have_text(CPU, timeout=10_000)


def bundled(example: Block, folder: Path) -> str:
    """Build an app that shows the example's component."""
    packed = run("npm", "pack", str(CLIENT), "--silent", cwd=folder).strip()
    project = install(folder / "app", folder / packed)
    (project.folder / "example.jsx").write_text(example.text, encoding="utf-8")
    (project.folder / "main.jsx").write_text(MOUNT, encoding="utf-8")
    project.build("main.jsx", "--format=esm", '--define:process.env.NODE_ENV="production"')
    return (project.folder / "site" / "main.js").read_text(encoding="utf-8")


async def test_the_websocket_in_python_comes_back(tmp_path: Path) -> None:
    """After a restart of the server it prints on."""
    (program,) = [block for block in blocks("python") if block.name == "follow.py"]
    (port,) = proxies.free_ports(1)
    text = program.text.replace(ADDRESS, f"127.0.0.1:{port}")
    serve = ("-m", "app", "--port", str(port), "--drain", "0")
    client = None
    try:
        for _ in range(2):
            async with process.running(program=serve) as server:
                await server.url()
                client = client or await started(text)
                assert client.stdout is not None
                async with asyncio.timeout(process.PATIENCE_S):
                    assert (await client.stdout.readline()).startswith(b"CPU ")
    finally:
        if client is not None:
            client.kill()
            await client.communicate()


async def started(text: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *[sys.executable, "-c", text],
        env=process.environment() | {"no_proxy": "127.0.0.1"},
        stdout=asyncio.subprocess.PIPE,
    )


def test_the_files_for_proxies_are_all_there() -> None:
    """Those that the tests run, and no other."""
    linked = [re.findall(r"\]\(proxies/(.*)\)", row[1]) for row in table(PAGE, "Proxy | File")]
    files = sorted(path.name for path in proxies.CONFIGURATIONS.iterdir())
    assert sorted(name for (name,) in linked) == files


def test_what_passes_is_what_the_tests_have_found() -> None:
    """Row for row."""
    rows = [tuple(row[1:]) for row in table(PAGE, "Proxy | WebSocket")]
    assert rows == [(*passed, SHOWN_AS[best]) for *passed, best in PASSES.values()]


@pytest.mark.parametrize("name", sorted(path.name for path in proxies.CONFIGURATIONS.iterdir()))
def test_the_numbers_in_the_files_are_those_in_the_code(name: str) -> None:
    """Those that their comments give as reasons for others."""
    text = (proxies.CONFIGURATIONS / name).read_text(encoding="utf-8")
    words = " ".join(text.replace("#", " ").split())
    reasons = {
        r"heartbeat \((\d+) s\)": Settings().heartbeat // 1000,
        r"a poll waits for (\d+) s at most": WAIT_MAX_S,
        r"idle connections after (\d+) s": KEEP_ALIVE_S,
    }
    for pattern, number in reasons.items():
        assert set(re.findall(pattern, words)) <= {f"{number:g}"}


def test_the_numbers_in_the_text_are_those_in_the_code() -> None:
    """How long a stream is silent, and a poll waits."""
    heartbeat = Settings().heartbeat // 1000
    text = prose(PAGE)
    assert f"a stream is silent for {heartbeat} at most" in text
    assert f"a poll may wait for {WAIT_MAX_S:g}" in text
    (timeout,) = {
        match for block in blocks("python") for match in re.findall(r"timeout=(\d+)", block.text)
    }
    assert int(timeout) == 2 * heartbeat + 5
