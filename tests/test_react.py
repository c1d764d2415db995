"""The client as an npm package: packed, installed, typed, and its React hooks in a real browser."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import re
import shutil
import subprocess
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx
import pytest
from attrs import evolve, frozen

import app
from tests.browser import launched
from tests.process import Process, client, running

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

pytest.importorskip("playwright.async_api")
# The first of these tests also waits for the packages to come.
pytestmark = [pytest.mark.external("npm"), pytest.mark.timeout(180)]

ROOT = Path(__file__).resolve().parent.parent
CLIENT = ROOT / "app" / "web" / "client"
APP = ROOT / "tests" / "react"
OLDEST, NEWEST = "18.3.1", "19.3.1"
chromium = pytest.mark.external("chromium")
react_19 = pytest.mark.parametrize("site", [NEWEST], indirect=True)
react_18_and_19 = pytest.mark.parametrize("site", [OLDEST, NEWEST], indirect=True)
PATIENCE_S = 20
# Keys of the hook's result, in the order in which it gives them.
RESULT = ["data", "loading", "error", "connectionStatus", "transport", "lastUpdated"]


def run(*command: str, cwd: Path) -> str:
    """Run a command to its end and return what it printed."""
    done = subprocess.run(command, cwd=cwd, check=False, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def manifest() -> dict[str, Any]:
    """Return what package.json says."""
    found: dict[str, Any] = json.loads((CLIENT / "package.json").read_text(encoding="utf-8"))
    return found


def texts(folder: Path) -> dict[str, str]:
    """Return what the files of a folder hold."""
    return {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()}


# Packing, installing and building


@pytest.fixture(scope="session")
def tarball(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pack the client, as it would be given to others."""
    folder = tmp_path_factory.mktemp("tarball")
    run("npm", "pack", str(CLIENT), "--silent", cwd=folder)
    (packed,) = folder.iterdir()
    return packed


@frozen
class Project:
    """A folder with the app's sources, and all that it needs installed."""

    folder: Path

    @property
    def package(self) -> Path:
        """Our package, where npm put it."""
        return self.folder / "node_modules" / "pulsewire-client"

    def build(self, *flags: str) -> None:
        """Bundle what is named in the flags into ``site``."""
        esbuild = str(self.folder / "node_modules" / ".bin" / "esbuild")
        common = ("--bundle", "--jsx=automatic", "--outdir=site", "--log-level=warning")
        printed = run(esbuild, *common, *flags, cwd=self.folder)
        assert printed == ""


def install(folder: Path, tarball: Path, *packages: str) -> Project:
    shutil.copytree(APP, folder, dirs_exist_ok=True)
    quiet = ("--silent", "--no-audit", "--no-fund", "--ignore-scripts", "--prefer-offline")
    run("npm", "install", *quiet, str(tarball), *packages, cwd=folder)
    return Project(folder)


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory, tarball: Path) -> Project:
    """Install the package beside the newest React, as npm does when peers fit."""
    return install(tmp_path_factory.mktemp("newest"), tarball)


@pytest.fixture(scope="session")
def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, tarball: Path
) -> Iterator[str]:
    """Build the app and serve it: an origin of its own, as a dashboard elsewhere has."""
    version = request.param
    if version == NEWEST:
        built: Project = request.getfixturevalue("project")
    else:
        types = (f"@types/{name}@{version.partition('.')[0]}" for name in ("react", "react-dom"))
        older = tmp_path_factory.mktemp("older")
        built = install(older, tarball, f"react@{version}", f"react-dom@{version}", *types)
    installed = json.loads((built.folder / "node_modules/react/package.json").read_text())
    assert installed["version"] == version
    # Development's React: production's has no StrictMode that mounts everything twice.
    flags = ("--format=esm", '--define:process.env.NODE_ENV="development"')
    built.build("app.tsx", "worker=pulsewire-client/worker.js", *flags)
    folder = built.folder / "site"
    shutil.copy(APP / "index.html", folder)
    # The same without the worker's script, as from a bundler that was not told of it.
    shutil.copytree(folder, folder / "without-worker", ignore=shutil.ignore_patterns("worker.js"))
    handler = functools.partial(SilentHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


class SilentHandler(SimpleHTTPRequestHandler):
    """Serves files and tells nobody."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as it is inherited
        """Tell nobody."""


# The package itself


def test_the_package_has_the_version_of_the_server() -> None:
    """Who has both need not ask which go together."""
    assert manifest()["version"] == app.__version__


def test_the_package_holds_the_modules_and_their_types(tarball: Path, project: Project) -> None:
    """And nothing else: not a test, not a setting of an editor."""
    assert tarball.name == f"pulsewire-client-{app.__version__}.tgz"
    files = (path for path in project.package.rglob("*") if path.is_file())
    held = {str(path.relative_to(project.package)) for path in files}
    modules = {path.name for path in CLIENT.glob("*.js")}
    types = {f"types/{path.name}" for path in CLIENT.glob("types/*.d.ts")}
    assert held == modules | types | {"package.json", "README.md"}


def test_every_way_in_is_there(project: Project) -> None:
    """What `exports` names are files of the package, types before code."""
    for way in manifest()["exports"].values():
        paths = [way] if isinstance(way, str) else list(way.values())
        assert all((project.package / path).is_file() for path in paths)
        assert isinstance(way, str) or list(way) == ["types", "default"]


def test_the_declarations_are_those_of_the_modules(project: Project) -> None:
    """The modules pass the compiler at its strictest; `nox -s declarations` has been run."""
    shutil.copytree(CLIENT, project.folder / "client", dirs_exist_ok=True)
    run("npm", "run", "declare", cwd=project.folder)
    assert texts(project.folder / "types") == texts(CLIENT / "types")


def test_the_types_are_what_the_page_on_them_says(project: Project) -> None:
    """An app in TypeScript compiles against them, strictly; wrong options do not."""
    run("npm", "run", "types", cwd=project.folder)


def test_on_a_server_the_hook_waits(project: Project) -> None:
    """Rendered to a string, nothing is connected and nothing keeps the process alive."""
    project.build("server.jsx", "--platform=node", "--format=cjs", "--out-extension:.js=.cjs")
    printed = run("node", "site/server.cjs", cwd=project.folder)
    assert json.loads(printed) == {
        "data": None,
        "loading": True,
        "error": None,
        "connectionStatus": "connecting",
        "transport": None,
        "lastUpdated": None,
    }


# The hooks in a browser


async def count(http: httpx.AsyncClient) -> int:
    """Return how many clients a server has, on whatever transport."""
    clients: dict[str, int] = (await http.get("/api/status")).json()["clients"]
    return sum(clients.values())


@frozen
class Dashboard:
    """The built app in a browser, on top of a real server."""

    page: Page
    site: str
    server: str

    async def goto(self, panels: int = 1, channels: Sequence[str] = (), **options: object) -> None:
        """Open it, with this many components and these options of the hook."""
        given = {"url": f"{self.server}/", "interval": 1000} | options
        setup = {"panels": panels, "channels": channels, "options": given}
        await self.page.goto(f"{self.site}/index.html?{quote(json.dumps(setup))}")

    async def press(self, name: str) -> None:
        """Press a button."""
        await self.page.get_by_role("button", name=name).click()

    async def panels(self, kind: str = "metrics") -> list[dict[str, Any]]:
        """Return what the hook gave each component."""
        return [json.loads(text) for text in await self.page.locator(f".{kind}").all_inner_texts()]

    async def panel(self, **wanted: object) -> dict[str, Any]:
        """Wait until the hook gives the first component this, and return all it gives then."""
        return await self._first(
            "(given, wanted) => wanted.every(([k, v]) => given[k] === v)", [*wanted.items()]
        )

    async def newer(self, than: dict[str, Any]) -> dict[str, Any]:
        """Wait for a message after this one."""
        return await self._first("(given, than) => given.lastUpdated > than", than["lastUpdated"])

    async def _first(self, condition: str, wanted: object) -> dict[str, Any]:
        script = f"""(wanted) => {{
            const given = JSON.parse(document.querySelector(".metrics")?.textContent ?? "null");
            return given && ({condition})(given, wanted) && given;
        }}"""
        found = await self.page.wait_for_function(script, arg=wanted, timeout=PATIENCE_S * 1000)
        given: dict[str, Any] = await found.json_value()
        return given

    async def has_clients(self, number: int) -> None:
        """Wait until the server has this many."""
        async with asyncio.timeout(PATIENCE_S), client(self.server) as http:
            while await count(http) != number:  # noqa: ASYNC110 - a server says it when asked
                await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def serving(site: str, port: int = 0) -> AsyncIterator[Process]:
    """Run the server for pages of that origin."""
    flags = ("--port", str(port), "--allowed-origins", site, "--tick", "500", "--drain", "0")
    async with running(*flags) as process:
        yield process


@pytest.fixture(scope="session")
async def server(site: str) -> AsyncIterator[str]:
    async with serving(site) as process:
        yield await process.url()


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with launched() as browser:
        yield browser


@pytest.fixture
async def dashboard(browser: Browser, site: str, server: str) -> AsyncIterator[Dashboard]:
    """Give an empty page, and look afterwards that it left no connection and threw nothing."""
    thrown: list[str] = []
    async with await browser.new_context() as context:
        page = await context.new_page()
        page.on("pageerror", lambda error: thrown.append(str(error)))
        dashboard = Dashboard(page, site, server)
        yield dashboard
    assert thrown == []
    await dashboard.has_clients(0)


@chromium
@react_18_and_19
async def test_components_share_one_connection_and_its_data(dashboard: Dashboard) -> None:
    """In StrictMode, which mounts each of them twice."""
    await dashboard.goto(panels=3)
    given = await dashboard.panel(connectionStatus="connected", loading=False, error=None)
    assert list(given) == RESULT
    assert given["transport"] == "websocket"
    async with client(dashboard.server) as http:
        polled = (await http.get("/api/metrics")).json()["data"]
        assert given["data"].keys() == polled.keys()
        assert given["data"]["hostname"] == polled["hostname"]
    first, *others = await dashboard.panels()
    assert others == [first, first]
    await dashboard.has_clients(1)
    await dashboard.newer(first)


@chromium
@react_18_and_19
async def test_what_is_unmounted_leaves_no_connection_and_comes_back_with_one(
    dashboard: Dashboard,
) -> None:
    """As when a reader goes to another part of an app and returns."""
    await dashboard.goto(panels=3)
    await dashboard.panel(connectionStatus="connected")
    await dashboard.has_clients(1)
    await dashboard.press("hide")
    await dashboard.has_clients(0)
    await dashboard.press("show")
    await dashboard.panel(connectionStatus="connected", loading=False)
    await dashboard.has_clients(1)


@chromium
@react_19
@pytest.mark.parametrize("folder", ["", "without-worker/"])
async def test_tabs_share_a_connection(dashboard: Dashboard, folder: str) -> None:
    """By way of a shared worker, or, where the bundle came without it, of one of them."""
    dashboard = evolve(dashboard, site=f"{dashboard.site}/{folder}".rstrip("/"))
    context = dashboard.page.context
    tabs = [dashboard, evolve(dashboard, page=await context.new_page())]
    for tab in tabs:
        await tab.goto()
        await tab.panel(connectionStatus="connected", loading=False)
    await dashboard.has_clients(1)
    assert context.browser
    devtools = await context.browser.new_browser_cdp_session()
    targets = (await devtools.send("Target.getTargets"))["targetInfos"]
    assert [target["type"] for target in targets].count("shared_worker") == (not folder)


@chromium
@react_19
async def test_strict_mode_opens_no_connection_in_vain(dashboard: Dashboard) -> None:
    """Nor does another interval: the one that is there is used."""
    opened = []
    dashboard.page.on("websocket", lambda socket: opened.append(socket.url))
    await dashboard.goto(panels=2, share=False)
    before = await dashboard.panel(connectionStatus="connected", loading=False)
    await dashboard.press("slower")
    assert (await dashboard.panel())["data"] is not None
    await dashboard.newer(before)
    assert len(opened) == 1


@chromium
@react_19
async def test_without_websocket_another_transport_takes_over(dashboard: Dashboard) -> None:
    """What a proxy does not let through is not the end."""
    await dashboard.page.route_web_socket("**/*", lambda socket: socket.close())
    await dashboard.goto(share=False)
    given = await dashboard.panel(connectionStatus="connected", loading=False)
    assert given["transport"] in ("sse", "longpoll")


@chromium
@react_19
async def test_with_nothing_but_plain_requests_it_polls(dashboard: Dashboard) -> None:
    """The last resort is what existing dashboards do all the time."""
    await dashboard.page.route_web_socket("**/*", lambda socket: socket.close())
    await dashboard.page.route(re.compile("/api/(sse|poll)"), lambda route: route.abort())
    await dashboard.goto(share=False)
    given = await dashboard.panel(connectionStatus="connected", loading=False)
    assert given["transport"] == "polling"


@chromium
@react_19
async def test_without_fallback_it_is_websocket_or_nothing(dashboard: Dashboard) -> None:
    """Whoever wants no other transport is told what is wrong with this one."""
    requests = []
    dashboard.page.on("request", lambda request: requests.append(request.url))
    await dashboard.page.route_web_socket("**/*", lambda socket: socket.close())
    await dashboard.goto(share=False, enableFallback=False)
    given = await dashboard.panel(loading=False)
    assert given["data"] is None
    assert isinstance(given["error"], str)
    assert not [url for url in requests if "/api/sse" in url or "/api/poll" in url]


@chromium
@react_19
async def test_a_channel_that_is_not_there_says_so(dashboard: Dashboard) -> None:
    """The other channel of the same connection goes on."""
    await dashboard.goto(channels=("pigeons",))
    given = await dashboard.panel(connectionStatus="connected", loading=False, error=None)
    (refused,) = await dashboard.panels("channel")
    assert refused["data"] is None
    assert "pigeons" in refused["error"]
    await dashboard.newer(given)
    await dashboard.has_clients(1)


@chromium
@react_18_and_19
async def test_a_server_that_restarts_is_waited_for(dashboard: Dashboard) -> None:
    """With the last data in sight, and the state told."""
    async with serving(dashboard.site) as process:
        server = await process.url()
        await dashboard.goto(url=f"{server}/")
        last = await dashboard.panel(connectionStatus="connected", loading=False)
    lost = await dashboard.panel(connectionStatus="reconnecting")
    assert lost["data"].keys() == last["data"].keys()
    assert isinstance(lost["error"], str)
    async with serving(dashboard.site, port=int(server.rpartition(":")[2])):
        back = await dashboard.panel(connectionStatus="connected", error=None)
        await dashboard.newer(back)
