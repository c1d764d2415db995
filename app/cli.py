"""The command line: ``pulsewire`` and ``python -m app`` serve until they are told to stop.

The flags are made from `OPTIONS` and not by typed-settings' ``click_options``: that reads file and
environment already when this module is imported, shows their values as if they were the defaults,
and leaves the judging to click, in three lines that do not tell the range. Here click only splits
the command line, and `load_settings` judges the texts.
"""

import os
import sys
from collections.abc import Sequence
from typing import cast

import click

from app import __version__
from app.listen import ListenError
from app.logs import configure
from app.server import serve
from app.settings import (
    FILE_NAME,
    FILE_VARIABLE,
    OPTIONS,
    Option,
    SettingsError,
    load_settings,
    stray_variables,
)
from app.watch.command import watch

__all__ = ["command", "main"]

PROGRAM = "pulsewire"
HELP = "Serve this machine's live metrics over WebSocket, Server-Sent Events and long-poll."
EPILOG = (
    f"Each setting may also be a key of the file {FILE_NAME} (max_clients = 500) or a variable of "
    "the environment. Flags override the environment, and the environment overrides the file."
)
GENERAL = "General"
"""Heading of the flags that are no settings."""

INTERRUPTED = 130
"""Exit status after Ctrl-C while nothing was served yet, as shells have it."""


class SectionedGroup(click.Group):
    """A command whose help has its flags under headings.

    A group that also runs without a subcommand: serving needs none, and others fit in beside it.
    """

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the flags under the groups of their settings."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for flag in self.get_params(ctx):
            heading = OPTIONS[flag.name].group if flag.name in OPTIONS else GENERAL
            record = cast("tuple[str, str]", flag.get_help_record(ctx))
            sections.setdefault(heading, []).append(record)
        for heading, records in sections.items():
            with formatter.section(heading):
                formatter.write_dl(records)
        self.format_commands(ctx, formatter)


def _flag(option: Option) -> click.Option:
    shown = "none" if option.default in {None, "", ()} else str(option.default).lower()
    text = f"{option.text} [{option.rule.allowed}; default {shown}; {option.variable}]"
    if isinstance(option.default, bool):
        return click.Option([f"{option.flag}/--no{option.flag[1:]}"], default=None, help=text)
    return click.Option(
        [option.flag],
        # A list is written with commas, or with the flag several times, or both.
        multiple=isinstance(option.default, tuple),
        metavar=option.rule.metavar,
        help=text,
    )


def _serve(**given: object) -> int:
    if click.get_current_context().invoked_subcommand is not None:
        return 0
    for line in stray_variables(os.environ):
        _complain(f"warning: {line}")
    flags = {
        name: ",".join(value) if isinstance(value, tuple) else value
        for name, value in given.items()
        if value not in {None, ()}
    }
    settings = load_settings(flags)
    configure(settings)
    return serve(settings)


def _complain(line: str) -> None:
    print(f"{PROGRAM}: {line}", file=sys.stderr)  # noqa: T201 - logging is not set up yet


command = SectionedGroup(
    PROGRAM,
    callback=_serve,
    invoke_without_command=True,
    subcommand_metavar="[COMMAND]",
    help=HELP,
    epilog=EPILOG,
    params=[
        *map(_flag, OPTIONS.values()),
        click.Option(
            ["--config"],
            metavar="PATH",
            help=f"The settings file, instead of {FILE_NAME} in the working directory; it must be "
            f"there. [{FILE_VARIABLE}]",
        ),
    ],
)
command.add_command(watch)
click.version_option(__version__, message="%(prog)s %(version)s")(command)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; ``argv`` without the program's name, or else the process's own.

    Returns:
        The exit status: that of `serve`, 2 for a wrong flag or setting, 1 if the server cannot
        listen where it should.
    """
    try:
        return cast("int", command.main(argv, prog_name=PROGRAM, standalone_mode=False))
    except click.ClickException as error:
        _complain(error.format_message())
        return error.exit_code
    except SettingsError as error:
        _complain(str(error))
        return 2
    except ListenError as error:
        _complain(str(error))
        return 1
    except click.Abort:
        return INTERRUPTED
