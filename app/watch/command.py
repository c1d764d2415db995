"""The subcommand `watch`: its options."""

from __future__ import annotations

import click

from schema.fields import INTERVAL_MAX_MS, INTERVAL_MIN_MS

URL = "http://127.0.0.1:8321"
TRANSPORTS = ("auto", "websocket", "sse", "longpoll")
INTERVAL_MS = 1000


@click.command(short_help="Show a server's figures in this terminal.")
@click.argument("url", default=URL)
@click.option(
    "--transport",
    type=click.Choice(TRANSPORTS),
    default=TRANSPORTS[0],
    show_default=True,
    help="How to connect; auto takes the best that gets through.",
)
@click.option(
    "--interval",
    type=click.IntRange(INTERVAL_MIN_MS, INTERVAL_MAX_MS),
    default=INTERVAL_MS,
    show_default=True,
    help="Time between two messages, in ms.",
)
@click.option("--uds", metavar="PATH", help="Unix socket at which the server is.")
@click.option("--insecure", is_flag=True, help="Trust any certificate.")
@click.option("--json", is_flag=True, help="Print the messages as they come, one a line.")
@click.option("--no-color", is_flag=True, help="Use no colours; NO_COLOR does the same.")
def watch(**options: object) -> int:
    """Show the live figures of the server at URL, this machine's by default.

    Ends with q or Ctrl-C. A server that is not there is waited for.
    """
    # Here, since a server needs neither the client nor the screen.
    from app.watch.run import Options, run  # noqa: PLC0415

    try:
        return run(Options(**options))  # type: ignore[arg-type]  # click has checked them
    except ValueError as error:
        raise click.UsageError(str(error)) from None
