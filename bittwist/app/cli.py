"""The `bittwist` command: a group whose commands are imported only when they are called."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from io import StringIO

import click

from bittwist import __version__
from bittwist.app.interruption import INTERRUPTED, Interrupted, signals_interrupt
from bittwist.app.output import named_output
from bittwist.app.wording import printable
from bittwist.errors import BitTwistError

COMMANDS = {
    "create": ("bittwist.app.cli_files:create", "Make a torrent file of a file or folder."),
    "download": (
        "bittwist.app.cli_transfer:download",
        "Fetch what a torrent file, URL or magnet names.",
    ),
    "magnet": ("bittwist.app.cli_files:magnet", "Print the magnet link of a torrent file."),
    "scrape": ("bittwist.app.cli_scrape:scrape", "Ask a tracker how many seeds and leeches there are."),
    "seed": ("bittwist.app.cli_transfer:seed", "Give what a torrent names to whoever asks."),
    "share": ("bittwist.app.cli_share:share", "Share a file or folder: create, track and seed in one."),
    "show": ("bittwist.app.cli_files:show", "Show what is in a torrent file or magnet link."),
    "verify": ("bittwist.app.cli_files:verify", "Compare files on disk with a torrent."),
}


class LazyGroup(click.Group):
    """Knows the names and one-line helps of its commands, and imports a command when it is run."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        command = getattr(import_module(module), name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="bittwist")
def group() -> None:
    """BitTorrent at the shell: share files, fetch them, make and read torrents.

    Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted.
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and exit with its code; an error of ours becomes one line on standard error."""
    try:
        with signals_interrupt(), named_output():
            code = group.main(args=arguments, prog_name="bittwist", standalone_mode=False)
    except click.ClickException as error:
        told = StringIO()
        error.show(told)
        for line in told.getvalue().splitlines():
            click.echo(printable(line), err=True)
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt, Interrupted):
        click.echo(err=True)  # where a terminal shows ^C
        sys.exit(INTERRUPTED)
    except BitTwistError as error:
        click.echo(printable(f"bittwist: {error}"), err=True)
        sys.exit(1)
    except BrokenPipeError:
        # Whoever read our output is gone; there is nobody left to tell.
        sys.stderr.close()
        sys.exit(1)
    sys.exit(code if isinstance(code, int) else 0)
