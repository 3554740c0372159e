"""`bittwist share`: create, track, seed and hand out the torrent file, in one process."""

from __future__ import annotations

import click

from bittwist.app.cli_transfer import check_address, port_option


@click.command()
@click.argument("path", metavar="PATH", type=click.Path(exists=True))
@click.option(
    "--address",
    metavar="ADDRESS",
    callback=check_address,
    help="The IP address others reach this machine by.",
)
@port_option
@click.option(
    "--http-port", type=click.IntRange(0, 65535), default=6969, metavar="N",
    help="The port of the tracker and the torrent file (6969).",
)  # fmt: skip
def share(path: str, address: str | None, port: int | None, http_port: int) -> int:
    """Share a file or folder with whoever gets the line that is printed."""
    from pathlib import Path

    from bittwist.app.port import Port
    from bittwist.app.report import report
    from bittwist.app.run import run
    from bittwist.app.share import found_address
    from bittwist.app.share import share as share_path

    host = address if address is not None else found_address()
    return run(
        lambda reactor: share_path(
            reactor, Path(path).absolute(), host, Port(None, port), http_port, report(False)
        )
    )
