"""What users read is true: every code block is run or checked, every table compared with the code.

Only the two set-up commands are not run here, since they take a minute; their form is checked.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import importlib.util
import os
import re
import shlex
import sys
import tomllib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs
import httpx
import orjson
import pytest
from attrs import frozen
from jsonschema import Draft202012Validator
from starlette.applications import Starlette
from starlette.routing import Route

import app
from app.cli import command as pulsewire
from app.client.inbox import ROOM
from app.core.delivery import CATCH_UP
from app.core.intake import MESSAGE_BYTES
from app.core.rate import BURST, RATE_PER_S
from app.core.session import LANE, MAX_SUBSCRIPTIONS, SLICE_S
from app.core.subscription import RESUME_BYTES, RESUME_MESSAGES
from app.factory import create_app, create_hub, default_sources
from app.server import PING_S
from app.settings import OPTIONS, Option, Settings, load_settings
from app.sources.proc.masking import LENGTH_MAX
from app.watch.command import watch
from schema.codec import CLIENT_MESSAGES, SERVER_MESSAGES, decode_client, decode_server
from schema.containers import ContainersMessage
from schema.cursor import PATTERN
from schema.documentation import camel
from schema.errors import CloseCode, ErrorCode
from schema.fields import HISTORY_MAX, INTERVAL_MAX_MS, INTERVAL_MIN_MS, GapReason, ResumeReason
from schema.jsonschema import message_schema
from schema.messages import V1_CHANNELS, V1_ONLY
from schema.metrics import MetricsMessage, Standard
from schema.processes import ProcessesMessage
from schema.query import WAIT_MAX_S, WAIT_S, parse_stream
from tests.process import running
from tests.serving import serving

ROOT = Path(__file__).resolve().parent.parent
README, PROTOCOL, ARCHITECTURE = "README.md", "docs/protocol.md", "docs/architecture.md"
PAGES = (README, *sorted(str(page.relative_to(ROOT)) for page in ROOT.glob("docs/*.md")))
ADDRESS = "127.0.0.1:8321"
"""Where the pages say that the server is; tests put in where it really is."""
FOLDERS = ("app", "schema", "transports")
PATIENCE_S = 20
DEFAULTS = Settings()
SET_UP = re.compile(
    r"python3 -m venv (\.venv\S*) && \1/bin/pip install -q (\S+|-e '\S+') && \1/bin/\S+( -m app)?"
)


# Reading the pages


@frozen
class Block:
    """A fenced block of code: the page that it is on, its language, its text."""

    page: str
    language: str
    text: str

    @property
    def name(self) -> str:
        """The name of the file that a Python block is, from its first line."""
        return self.text.partition("\n")[0].removeprefix("# ").rpartition("/")[2]


def read(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def prose(page: str) -> str:
    """Give a page without its blocks, each run of blanks as one."""
    return " ".join(re.sub(r"^```.*?^```$", "", read(page), flags=re.MULTILINE | re.DOTALL).split())


def blocks(*languages: str) -> list[Block]:
    found = [
        Block(page, *match)
        for page in PAGES
        for match in re.findall(r"^```([a-z]*)\n(.*?)^```$", read(page), re.MULTILINE | re.DOTALL)
    ]
    return [block for block in found if block.language in languages or not languages]


def lines(*languages: str) -> list[str]:
    return [line for block in blocks(*languages) for line in block.text.splitlines()]


def transcripts() -> Iterator[tuple[str, list[str]]]:
    """Give each command that is shown with its output, and that output's lines."""
    for block in blocks("console"):
        for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
            command, *output = part.rstrip("\n").split("\n")
            yield command, output


def table(page: str, header: str) -> list[list[str]]:
    """Give the rows of the table whose header begins like this, without their back-ticks."""
    _, _, rest = read(page).partition(f"\n| {header} |")
    rows = rest.partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip().replace("`", "") for cell in row.split("|")[1:-1]] for row in rows]


def shape(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """Tell what a JSON value is made of: keys and types, but neither numbers nor texts."""
    if isinstance(value, dict):
        return {key: value[key] if key == "type" else shape(value[key]) for key in value}
    if isinstance(value, list):
        return [shape(item) for item in value]
    if isinstance(value, bool) or value is None:
        return value
    return "" if isinstance(value, str) else 0


def line_shape(line: str) -> tuple[str, Any]:
    """Tell what a line of output is made of: its words, and the shape of the JSON at its end."""
    words, brace, rest = line.rstrip("\n").partition("{")
    plain = re.sub(r"\d+", "0", re.sub(r"\b[a-z0-9]{8}:\d+", "CURSOR", words))
    return plain, shape(orjson.loads(brace + rest)) if rest.endswith("}") else None


# The code blocks


@pytest.fixture(scope="module")
async def address() -> AsyncIterator[str]:
    """Start the real program, and give its address once it has something to tell."""
    async with running() as process:
        url = await process.url()
        async with httpx.AsyncClient(trust_env=False) as client:
            await client.get(f"{url}/api/poll")
        yield url.removeprefix("http://")


async def first_lines(command: str, count: int, cwd: Path) -> list[str]:
    """Run a command of a page as a shell would, until it has printed so many lines."""
    child = await asyncio.create_subprocess_exec(
        *["sh", "-c", f"exec {command}"],
        cwd=cwd,
        env=os.environ | {"PYTHONUNBUFFERED": "1", "no_proxy": "127.0.0.1"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert child.stdout is not None
    try:
        async with asyncio.timeout(PATIENCE_S):
            return [(await child.stdout.readline()).decode() for _ in range(count)]
    finally:
        with contextlib.suppress(ProcessLookupError):  # it may have printed all it had
            child.kill()
        # Not wait(): what the pipe still holds would keep it open.
        await child.communicate()


@pytest.mark.parametrize(
    ("command", "output"),
    [
        pytest.param(
            *transcript,
            marks=[pytest.mark.external("curl")] if transcript[0].startswith("curl ") else [],
        )
        for transcript in transcripts()
    ],
)
async def test_a_command_prints_what_the_page_shows(
    command: str, output: list[str], address: str, tmp_path: Path
) -> None:
    """Line for line, but for numbers, names and cursors."""
    assert command.startswith(("curl ", ".venv/bin/python "))
    for block in blocks("python"):
        (tmp_path / block.name).write_text(block.text.replace(ADDRESS, address), encoding="utf-8")
    command = command.replace(ADDRESS, address).replace(".venv/bin/python", sys.executable)
    printed = await first_lines(command, len(output), tmp_path)
    assert [line_shape(line) for line in printed] == [line_shape(line) for line in output]


def test_every_block_is_of_a_kind_that_is_checked() -> None:
    """What cannot be run is a drawing, or the configuration of somebody else's program."""
    kinds = {"sh", "console", "json", "python", "js"}
    elsewhere = {"javascript", "jsx"}  # in tests/test_clients_doc.py
    assert {block.language for block in blocks()} <= kinds | elsewhere | {"nginx", "text"}


def test_every_python_block_is_run() -> None:
    """A program by the command that is shown below it, an extension by the tests here."""
    programs = {shlex.split(command)[-1] for command, _ in transcripts()}
    assert {block.name for block in blocks("python")} <= programs | {"switches.py", "lines.py"}


def example(name: str) -> ModuleType:
    """Import the one block that bears this name, as the file that it says it is."""
    (block,) = [block for block in blocks("python") if block.name == name]
    spec = importlib.util.spec_from_loader(f"docs_{name[:-3]}", loader=None)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module.__name__] = module  # annotations are looked up there
    exec(compile(block.text, name, "exec"), module.__dict__)  # noqa: S102 - the page's own code
    return module


async def test_the_example_source_is_one_file_and_one_line() -> None:
    """Its channel can be had at once, beside the others, and is described."""
    assert "`SwitchesSource(),` in `default_sources` of `app/factory.py`" in prose(README)
    settings = Settings()
    sources = [*default_sources(settings), example("switches.py").SwitchesSource()]
    async with (
        serving(create_hub(settings, sources)) as served,
        httpx.AsyncClient(base_url=served.http, trust_env=False) as client,
    ):
        schema = (await client.get("/api/schema")).json()
        batch = (await client.get("/api/poll?channels=switches")).json()
    Draft202012Validator(schema).validate(batch)
    (message,) = batch["messages"]
    assert (message["type"], message["data"] > 0) == ("switches", True)


async def test_the_example_transport_is_one_file_and_one_line() -> None:
    """It delivers the very texts of the others, and ends with the server."""
    assert '`Route("/api/lines", LinesTransport(hub)),` in `create_app`' in prose(README)
    async with (
        serving() as served,
        httpx.AsyncClient(base_url=served.http, trust_env=False) as client,
    ):
        assert served.server is not None
        main = served.server.config.app
        assert isinstance(main, Starlette)
        main.router.routes.append(
            Route("/api/lines", example("lines.py").LinesTransport(served.hub))
        )
        async with client.stream("GET", "/api/lines?interval=1000") as response:
            texts = []
            async for text in response.aiter_lines():
                texts.append(decode_server(text).TAG)
                if texts[-1] == "metrics":
                    (session,) = served.hub.sessions
                    session.farewell(0)
    assert texts == ["connected", "subscribed", "metrics", "reconnect"]
    assert not served.hub.sessions


def test_the_script_for_a_page_listens_to_what_there_is() -> None:
    """The events are messages, their keys are there, and the query is a good one."""
    client, block = blocks("js")
    assert client.text in read("docs/clients.md"), "what is not there is not run"
    events = set(re.findall(r'addEventListener\("(\w+)"', block.text))
    assert events
    assert events <= {cls.TAG for cls in SERVER_MESSAGES}
    assert set(re.findall(r"data\.(\w+\.\w+)", block.text)) <= set(keys(Standard))
    (url,) = re.findall(r'EventSource\("(.*)"\)', block.text)
    path, _, query = url.partition("?")
    assert path == "/api/sse"
    assert parse_stream(httpx.QueryParams(query), None).subscriptions


def is_set_up(line: str) -> bool:
    return line.startswith("python3 -m venv")


def test_two_commands_set_everything_up() -> None:
    """Each makes an environment of its own, which git does not see, and needs pip alone."""
    commands = [line for line in lines("sh") if is_set_up(line)]
    matches = [SET_UP.fullmatch(line) for line in commands]
    serve, test = [match for match in matches if match is not None]
    assert (serve[1], serve[2], serve[3]) == (".venv", ".", " -m app")
    assert (test[1], test[2], test[3]) == (".venv-tests", "-e '.[tests]'", None)
    assert ".venv*/" in read(".gitignore").splitlines()
    extras = tomllib.loads(read("pyproject.toml"))["project"]["optional-dependencies"]
    assert "tests" in extras
    assert "pytest" in {re.split(r"\W", requirement)[0] for requirement in extras["tests"]}


def test_the_other_shell_commands_can_be_typed() -> None:
    """The program takes the flags, and nox has the sessions."""
    others = [shlex.split(line) for line in lines("sh") if not is_set_up(line)]
    for program, *arguments in others:
        if program == "nox":
            selected = arguments[1:2] if arguments[:1] == ["-s"] else []
            assert {name.partition("-")[0] for name in selected} <= nox_sessions()
        else:
            assert (program, arguments[:2]) == (".venv/bin/python", ["-m", "app"])
            if arguments[2:3] == [watch.name]:
                watch.make_context("watch", arguments[3:])
                continue
            flags = pulsewire.make_context("pulsewire", arguments[2:]).params
            given = {key: flags[key] for key in flags if flags[key] not in {None, ()}}
            load_settings({key: as_text(given[key]) for key in given}, {}, ROOT / "docs")
    assert {words[0] for words in others} == {"nox", ".venv/bin/python"}


def as_text(value: Any) -> str:  # noqa: ANN401 - what click made of a flag
    return ",".join(value) if isinstance(value, tuple) else str(value)


def nox_sessions() -> set[str]:
    return {
        node.name
        for node in ast.parse(read("noxfile.py")).body
        if isinstance(node, ast.FunctionDef)
        and any("nox.session" in ast.unparse(mark) for mark in node.decorator_list)
    }


def test_every_json_example_is_a_message() -> None:
    """The codec reads it, the JSON Schema allows it, and no message is without one."""
    schema = message_schema([MetricsMessage, ContainersMessage, ProcessesMessage])
    server = Draft202012Validator(schema)
    client = Draft202012Validator(schema | {"oneOf": schema["$defs"]["clientMessages"]["oneOf"]})
    shown = set()
    for text in lines("json"):
        body = orjson.loads(text)
        shown.add(body["type"])
        is_clients = body["type"] in {cls.TAG for cls in CLIENT_MESSAGES}
        (decode_client if is_clients else decode_server)(text)
        (client if is_clients else server).validate(body)
        if not is_clients:
            # Each key that is shown is one, also where unknown ones would be ignored.
            assert set(body) <= {"type", *schema["$defs"][body["type"]]["properties"]}
    assert shown == {cls.TAG for cls in (*CLIENT_MESSAGES, *SERVER_MESSAGES)}


# The tables


def default(option: Option) -> str:
    return "none" if option.default in {None, "", ()} else str(option.default).lower()


def test_the_settings_are_all_there() -> None:
    """In the order of the class, with their defaults, their ranges and the words of `--help`."""
    rows = [[o.name, default(o), o.rule.allowed, o.text] for o in OPTIONS.values()]
    assert table(README, "Setting") == rows


def keys(cls: type[Any], *, of: str = "") -> list[str]:
    """Give the keys of a class, those of its parts with a dot."""
    found = []
    for field in attrs.fields(attrs.resolve_types(cls)):
        name = of + camel(field.name)
        inner = field.type
        found += keys(inner, of=f"{name}.") if attrs.has(inner) else [name]
    return found


def test_the_messages_are_all_there_with_all_their_keys() -> None:
    """And the page tells which of them heritage clients get, and which keys may be missing."""
    told = {row[0]: row[1:] for row in table(PROTOCOL, "Type")}
    assert set(told) == {cls.TAG for cls in CLIENT_MESSAGES}
    for cls in CLIENT_MESSAGES:
        fields = attrs.fields(cls)
        needed = [f"{camel(f.name)}{'?' * (f.default is not attrs.NOTHING)}" for f in fields]
        assert told[cls.TAG] == [", ".join(needed)]


def test_the_messages_of_the_server_are_all_there_with_all_their_keys() -> None:
    """And the page tells which of them heritage clients get."""
    told = {row[0]: (row[1], row[3]) for row in table(PROTOCOL, "Type | Keys | Sent")}
    assert set(told) == {cls.TAG for cls in SERVER_MESSAGES}
    for cls in SERVER_MESSAGES:
        fields = [field for field in attrs.fields(cls) if field.name != "timestamp"]
        given = [f"{camel(f.name)}{'?' * bool(f.metadata.get('optional'))}" for f in fields]
        is_v1_only = cls.TAG in V1_ONLY | V1_CHANNELS | {"batch"}
        assert told[cls.TAG] == (", ".join(given), "no" if is_v1_only else "yes")


def test_the_keys_of_the_data_are_all_there() -> None:
    """Those of the standard detail, in the order in which they come."""
    assert [row[0] for row in table(PROTOCOL, "Key of `standard`")] == keys(Standard)


def test_the_error_codes_are_all_there() -> None:
    """With the status that each has on HTTP."""
    told = [(code, int(status)) for code, status, _ in table(PROTOCOL, "Code | HTTP")]
    assert told == [(code.value, code.http_status) for code in ErrorCode]


def test_the_close_codes_are_all_there() -> None:
    """With whether to come back, which the number alone decides."""
    told = [(int(code), again) for code, again, _ in table(PROTOCOL, "Code | Come back")]
    assert told == [(code, "no" if 4500 <= code <= 4999 else "yes") for code in CloseCode]


def test_the_reasons_of_gaps_and_resumes_are_all_there() -> None:
    """The verdict alone decides whether a cursor recovered."""
    assert [row[0] for row in table(PROTOCOL, "Reason of a gap")] == list(GapReason)
    told = {(reason, recovered) for _, recovered, reason, _ in table(PROTOCOL, "The cursor")}
    assert told == {(r, "true" if r is ResumeReason.OK else "false") for r in ResumeReason}


def test_the_endpoints_are_all_there() -> None:
    """All that the application serves, but for the files of its page."""
    served = {getattr(route, "path", "") for route in create_app(Settings()).routes}
    told = [row[0] for row in table(PROTOCOL, "Path")]
    assert sorted(told) == sorted(path for path in served if "." not in path)


@pytest.mark.parametrize(
    ("page", "phrase"),
    [
        (PROTOCOL, f"in ms, {INTERVAL_MIN_MS} to {INTERVAL_MAX_MS}"),
        (PROTOCOL, f"what the server is set to ({DEFAULTS.interval})"),
        (PROTOCOL, f"past messages wanted, 0 to {HISTORY_MAX}"),
        (PROTOCOL, f"matches `{PATTERN}`"),
        (PROTOCOL, f"at most {RESUME_MESSAGES} messages and {RESUME_BYTES // 2**20} MiB"),
        (PROTOCOL, f"at most {CATCH_UP} messages"),
        (PROTOCOL, f"more than {MAX_SUBSCRIPTIONS} channels"),
        (PROTOCOL, f"above {MESSAGE_BYTES // 1024} KiB"),
        (PROTOCOL, f"more than {RATE_PER_S:g} client messages a second, or {BURST:g} at once"),
        (PROTOCOL, f"pings every {PING_S:g} seconds"),
        (PROTOCOL, f"`wait`, 0 to {WAIT_MAX_S:g} seconds, by default {WAIT_S:g}"),
        (PROTOCOL, f"`stall_timeout` ({DEFAULTS.stall_timeout:g} s)"),
        (PROTOCOL, f"cut after {LENGTH_MAX} characters"),
        (README, f"at most {WAIT_S:g} seconds"),
        (README, f"up to {RESUME_MESSAGES} messages"),
        (README, f"at most {CATCH_UP} messages"),
        (README, f"for {DEFAULTS.stall_timeout:g} seconds"),
        (README, f"after {DEFAULTS.heartbeat // 1000} seconds"),
        (README, f"{DEFAULTS.history // 60} minutes"),
        (ARCHITECTURE, f"more than {CATCH_UP} messages"),
        (ARCHITECTURE, f"in a lane, {LANE} at most"),
        (ARCHITECTURE, f"At most {ROOM} messages wait for the reader"),
        (ARCHITECTURE, f"At most {SLICE_S * 1000:g} ms at a time"),
    ],
)
def test_the_numbers_in_the_text_are_those_in_the_code(page: str, phrase: str) -> None:
    """Limits are told once in prose, and decided once in code."""
    assert phrase in prose(page)


# What the pages point at


@pytest.mark.parametrize("page", [*PAGES, "CHANGELOG.md"])
def test_links_lead_somewhere(page: str) -> None:
    """To a file of the project, and to a heading that it has."""
    for link in re.findall(r"\]\((?!https?:)([^)]+)\)", read(page)):
        name, _, anchor = link.partition("#")
        target = (ROOT / page).parent / name if name else ROOT / page
        assert target.is_file(), link
        headings = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.MULTILINE)
        slugs = [re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings]
        assert not anchor or anchor in slugs, link


@pytest.mark.parametrize("page", PAGES)
def test_files_that_are_named_are_there(page: str) -> None:
    """Each word in back-ticks that is a path of this project."""
    named = re.findall(r"`((?:app|schema|transports|tests|docs|\.ci)/[\w./]*)`", prose(page))
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_the_map_of_the_repository_is_right() -> None:
    """What it names is there, and no package is missing."""
    (drawn,) = [block for block in blocks("text") if "schema/   " in block.text]
    named = [line.split()[0] for line in drawn.text.splitlines()]
    assert [path for path in named if not (ROOT / path).is_dir()] == []
    packages = [init.parent for folder in FOLDERS for init in (ROOT / folder).rglob("__init__.py")]
    assert {f"{package.relative_to(ROOT)}/" for package in packages} <= set(named)


def test_the_modules_are_all_there() -> None:
    """Each in the row of its folder."""
    told = {
        (row[0], name) for row in table(ARCHITECTURE, "Folder") for name in module_names(row[1])
    }
    modules = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")]
    there = {
        (f"{path.parent.relative_to(ROOT)}/", path.name)
        for path in modules
        if not path.name.startswith("__")
    }
    assert told == there


def module_names(text: str) -> list[str]:
    return re.findall(r"\b\w+\.py\b", text)


def test_the_changelog_begins_with_this_version() -> None:
    """Whoever raises the version tells what is new."""
    versions = re.findall(r"^## \[(.*?)\]", read("CHANGELOG.md"), re.MULTILINE)
    assert versions[0] == app.__version__
