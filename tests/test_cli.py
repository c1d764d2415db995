"""The command line, as somebody at a terminal meets it."""

import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from app import __version__, cli
from app.cli import main
from app.listen import ListenError, bind
from app.settings import OPTIONS, Option, Settings

ROOT = Path(__file__).resolve().parent.parent


def run(
    *arguments: str, cwd: Path, environ: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `python -m app` in a directory, with no settings in its environment but the given."""
    inherited = {key: text for key, text in os.environ.items() if not key.startswith("PULSEWIRE_")}
    return subprocess.run(
        [sys.executable, "-m", "app", *arguments],
        capture_output=True,
        check=False,
        cwd=cwd,
        env=inherited | {"PYTHONPATH": str(ROOT)} | (environ or {}),
        text=True,
        timeout=30,
    )


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep settings of whoever runs the tests out."""
    for name in {"PULSEWIRE_PORT", *filter(re.compile("PULSEWIRE_").match, os.environ)}:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "80")  # of the terminal, to which help is wrapped
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Settings]]:
    """Take the place of the server, which would not come back, and note what it is given."""
    given: list[Settings] = []

    def serve(settings: Settings) -> int:
        given.append(settings)
        return 3

    monkeypatch.setattr(cli, "serve", serve)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield given
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.parametrize(
    ("arguments", "environ", "file", "told"),
    [
        (
            ["--interval", "99"],
            {},
            "",
            "flag --interval: interval must be an integer from 1000 to 60000 ms, not 99",
        ),
        (
            [],
            {"PULSEWIRE_DRAIN": "long"},
            "",
            'environment PULSEWIRE_DRAIN: drain must be a number from 0 to 300 s, not "long"',
        ),
        (
            [],
            {},
            'port = "8321"',
            'file pulsewire.toml, key port: port must be an integer from 0 to 65535, not "8321"',
        ),
        (
            [],
            {},
            "prot = 1",
            "file pulsewire.toml, key prot: there is no such setting; the nearest is port",
        ),
        (
            ["--allowed-origins", "http://a", "--allowed-origins", "b,http://c"],
            {},
            "",
            (
                "flag --allowed-origins: allowed_origins must be an http or https origin "
                'such as https://dash.example:8443, no path, not "b"'
            ),
        ),
        (["--config", "x.toml"], {}, "", "flag --config: there is no file x.toml"),
        (["--port"], {}, "", "Option '--port' requires an argument."),
        (["look"], {}, "", "No such command 'look'."),
    ],
)
def test_a_mistake_is_one_line_and_status_2(
    arguments: list[str], environ: dict[str, str], file: str, told: str, tmp_path: Path
) -> None:
    """Before anything is started, and without a traceback."""
    (tmp_path / "pulsewire.toml").write_text(file, encoding="utf-8")

    done = run(*arguments, cwd=tmp_path, environ=environ)

    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"pulsewire: {told}\n")


def test_a_broken_file_is_one_line_and_status_2(tmp_path: Path) -> None:
    """With the line of the mistake."""
    (tmp_path / "pulsewire.toml").write_text("port = 1\ntick =\n", encoding="utf-8")

    done = run(cwd=tmp_path)

    assert done.returncode == 2
    assert re.fullmatch(
        r"pulsewire: file pulsewire\.toml: [^\n]*\(at line 2, column \d+\)\n", done.stderr
    )


def test_a_taken_port_is_one_line_and_status_1(tmp_path: Path) -> None:
    """With the way out."""
    with bind(Settings(port=0)) as sock:
        port = sock.getsockname()[1]
        done = run("--port", str(port), "--log-level", "error", cwd=tmp_path)

    assert done.returncode == 1
    assert done.stderr == (
        f"pulsewire: port {port} on 127.0.0.1 is already in use; choose another with --port\n"
    )


def test_a_stray_variable_is_warned_of_and_nothing_worse(
    served: list[Settings], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It may be meant for another program."""
    monkeypatch.setenv("PULSEWIRE_INTERVALL", "2000")

    assert main([]) == 3
    assert served == [Settings()]
    assert capsys.readouterr().err == (
        "pulsewire: warning: environment PULSEWIRE_INTERVALL: "
        "there is no such setting; the nearest is PULSEWIRE_INTERVAL\n"
    )


def test_the_status_is_that_of_the_server(served: list[Settings]) -> None:
    """What it returns, the shell gets."""
    assert main(["--port", "0", "--no-access-log"]) == 3
    assert served == [Settings(port=0)]


def test_all_sources_come_together(served: list[Settings], monkeypatch: pytest.MonkeyPatch) -> None:
    """The file that a flag names, the environment, and flags over both."""
    Path("x.toml").write_text("tick = 500\nport = 1\nhistory = 60", encoding="utf-8")
    monkeypatch.setenv("PULSEWIRE_PORT", "2")
    monkeypatch.setenv("PULSEWIRE_TICK", "250")

    main(["--config", "x.toml", "--port", "3", "--access-log", "--uds", ""])

    assert served == [Settings(tick=250, port=3, history=60, access_log=True)]


def test_a_list_may_be_given_with_commas_and_with_the_flag_again(served: list[Settings]) -> None:
    """Or both."""
    main(["--allowed-hosts", "a,b", "--allowed-hosts", "c"])

    assert served[0].allowed_hosts == ("a", "b", "c")


def test_where_the_server_cannot_listen_the_status_is_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], served: list[Settings]
) -> None:
    """The reason is one line."""

    def serve(settings: Settings) -> int:
        raise ListenError(f"nothing on {settings.host}")

    monkeypatch.setattr(cli, "serve", serve)

    assert main([]) == 1
    assert not served
    assert capsys.readouterr().err == "pulsewire: nothing on 127.0.0.1\n"


def test_control_c_before_the_server_listens_ends_quietly(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], served: list[Settings]
) -> None:
    """With the status that shells give."""

    def serve(settings: Settings) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "serve", serve)

    assert main([]) == 130
    assert not served
    assert capsys.readouterr().err.strip() == ""


def test_another_command_can_stand_beside_the_flags(
    served: list[Settings], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Serving needs none, and is not done when one is given."""
    watch = click.Command("watch", callback=lambda: 7, help="Look on.")
    monkeypatch.setitem(cli.command.commands, "watch", watch)

    assert main(["watch"]) == 7
    assert not served
    assert main(["--port", "9000"]) == 3
    assert served == [Settings(port=9000)]
    assert main(["--help"]) == 0
    assert re.search(r"Commands:\n +watch +Look on\.", capsys.readouterr().out)


@pytest.mark.parametrize("option", OPTIONS.values(), ids=OPTIONS.keys())
def test_help_explains_each_option(option: Option, capsys: pytest.CaptureFixture[str]) -> None:
    """With its range, its default and its variable."""
    assert main(["--help"]) == 0

    out = capsys.readouterr().out
    _, _, section = out.partition(f"\n{option.group}:\n")
    words = " ".join(section.split("\n\n")[0].split())
    default = str(option.default).lower() if option.default not in {None, "", ()} else "none"
    assert f" {option.flag} " in f" {words}"
    assert f"{option.text} [{option.rule.allowed}; default {default}; {option.variable}]" in words


def test_help_shows_the_defaults_whatever_is_set(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Help is there to mend a wrong setting, so none is read for it."""
    monkeypatch.setenv("PULSEWIRE_PORT", "wrong")
    Path("pulsewire.toml").write_text("=", encoding="utf-8")

    assert main(["--help"]) == 0
    out, err = capsys.readouterr()
    assert "default 8321" in out
    assert "--config PATH" in out
    assert err == ""


def test_python_m_app_is_the_same_command(tmp_path: Path) -> None:
    """By the same name, with the version that the package has."""
    done = run("--version", cwd=tmp_path)

    assert (done.returncode, done.stdout, done.stderr) == (0, f"pulsewire {__version__}\n", "")
