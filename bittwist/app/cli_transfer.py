"""`bittwist download` and `bittwist seed`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from bittwist.app.transfer import Goal

    FloatType = click.ParamType[float]
else:
    FloatType = click.ParamType  # it takes no type in older releases of click 8


class Amount(FloatType):
    """A number from 0 on: not nan, which nothing ever reaches, nor inf."""

    name = "number"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            amount = float(str(value))
        except ValueError:
            amount = math.nan
        if not 0 <= amount < math.inf:
            self.fail(f"{str(value)[:80]!r} is not a number from 0 on", param, ctx)
        return amount


def check_peers(
    _context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]
) -> tuple[str, ...]:
    from bittwist.metainfo.magnet_parts import peer_fault

    for value in values:
        if (fault := peer_fault(value)) is not None:
            raise click.BadParameter(f"{value[:80]!r}: {fault}")
    return values


def check_globs(
    _context: click.Context, _parameter: click.Parameter, globs: tuple[str, ...]
) -> tuple[str, ...]:
    if "" in globs:
        raise click.BadParameter("'' matches no file")
    return globs


def check_address(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    from bittwist.address import fold

    try:
        return fold(value) if value is not None else None
    except ValueError as error:
        raise click.BadParameter(f"{value!r} is no IP address, or one with a scope") from error


peer_option = click.option(
    "--peer",
    "peers",
    multiple=True,
    metavar="HOST:PORT",
    callback=check_peers,
    help="A peer to dial. Repeatable.",
)
bind_option = click.option(
    "--bind", metavar="ADDRESS", callback=check_address, help="The address listened on and dialed from."
)
port_option = click.option(
    "--port",
    type=click.IntRange(0, 65535),
    metavar="N",
    help="The port listened on (6881 to 6889, else any).",
)


def check_rate(_context: click.Context, _parameter: click.Parameter, value: str | None) -> int:
    from bittwist.app.choices import rate

    try:
        return rate(value) if value is not None else 0
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


down_option = click.option(
    "--limit-down",
    metavar="RATE",
    callback=check_rate,
    help="Take no more bytes a second (500k, 2MiB); 0 is no limit.",
)
up_option = click.option(
    "--limit-up",
    metavar="RATE",
    callback=check_rate,
    help="Give no more bytes a second (500k, 2MiB); 0 is no limit.",
)
pex_option = click.option(
    "--no-pex", is_flag=True, help="Do not tell peers of each other, nor listen to them."
)
lsd_option = click.option("--no-lsd", is_flag=True, help="Do not look for peers on the local network.")
json_option = click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")


@click.command()
@click.argument("source", metavar="FILE|URL|MAGNET")
@click.option(
    "-o", "--output", type=click.Path(file_okay=False), default=".", metavar="DIR",
    help="Where the files go (here).",
)  # fmt: skip
@peer_option
@bind_option
@port_option
@click.option("--seed", "forever", is_flag=True, help="Go on seeding until interrupted.")
@click.option("--seed-ratio", type=Amount(), metavar="R", help="Seed until R copies are given.")
@click.option("--seed-time", type=Amount(), metavar="S", help="Seed for S seconds.")
@click.option(
    "--files", "globs", multiple=True, metavar="GLOB", callback=check_globs,
    help="Fetch only files that match. Repeatable.",
)  # fmt: skip
@click.option("--sequential", is_flag=True, help="Fetch from the beginning on.")
@down_option
@up_option
@pex_option
@lsd_option
@click.option("--no-web-seeds", is_flag=True, help="Fetch nothing from web servers.")
@click.option("--force", is_flag=True, help="Write over files that no piece of the torrent vouches for.")
@json_option
def download(
    source: str,
    output: str,
    peers: tuple[str, ...],
    bind: str | None,
    port: int | None,
    forever: bool,
    seed_ratio: float | None,
    seed_time: float | None,
    globs: tuple[str, ...],
    sequential: bool,
    limit_down: int,
    limit_up: int,
    no_pex: bool,
    no_lsd: bool,
    no_web_seeds: bool,
    force: bool,
    as_json: bool,
) -> int:
    """Fetch what a torrent file, URL or magnet link names; stop when it is complete."""
    from bittwist.app import transfer
    from bittwist.app.arguments import check_source
    from bittwist.app.choices import Choices
    from bittwist.app.port import Port
    from bittwist.app.report import report
    from bittwist.app.run import run

    check_source(source, bool(globs))
    if sum((forever, seed_ratio is not None, seed_time is not None)) > 1:
        raise click.UsageError("choose one of --seed, --seed-ratio and --seed-time")
    goal: Goal | None = None
    if forever or seed_ratio is not None or seed_time is not None:
        goal = transfer.Goal(ratio=seed_ratio, seconds=seed_time)
    folder = Path(output).absolute()
    choices = Choices(globs, limit_down, limit_up, sequential, not no_pex, not no_lsd, not no_web_seeds)
    return run(
        lambda reactor: transfer.download(
            reactor, source, folder, Port(bind, port), peers, goal, choices, force, report(as_json)
        )
    )


@click.command()
@click.argument("torrent", metavar="TORRENT", type=click.Path(exists=True, dir_okay=False))
@click.argument("path", metavar="PATH", type=click.Path(exists=True))
@bind_option
@port_option
@peer_option
@click.option(
    "--super", "superseed", is_flag=True, help="Give each piece once, as long as nobody else seeds."
)
@up_option
@pex_option
@lsd_option
@json_option
def seed(
    torrent: str,
    path: str,
    bind: str | None,
    port: int | None,
    peers: tuple[str, ...],
    superseed: bool,
    limit_up: int,
    no_pex: bool,
    no_lsd: bool,
    as_json: bool,
) -> int:
    """Give what TORRENT names to whoever asks, until interrupted.

    PATH is the shared file or folder, or the folder that holds it. Nothing in it is written.
    """
    from bittwist.app import transfer
    from bittwist.app.choices import Choices
    from bittwist.app.port import Port
    from bittwist.app.report import GIVEN, report
    from bittwist.app.run import run
    from bittwist.app.torrentfile import read_torrent
    from bittwist.errors import BitTwistError

    told = report(as_json, done=GIVEN)
    try:
        metainfo = read_torrent(torrent)
        transfer.check_tradable(metainfo, torrent)
    except BitTwistError as error:
        told.failed(str(error))
        told.close()
        return 1
    choices = Choices(limit_up=limit_up, pex=not no_pex, lsd=not no_lsd, superseed=superseed)
    return run(
        lambda reactor: transfer.seed(
            reactor, metainfo, Path(path).absolute(), Port(bind, port), peers, choices, told
        )
    )
