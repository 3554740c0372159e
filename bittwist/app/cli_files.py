"""`bittwist create`, `show`, `verify` and `magnet`: torrents and files, without a network.

Imports little: `show` answers at once.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bittwist import __version__
from bittwist.app.arguments import check_torrent_file, magnet_or_none
from bittwist.app.description import as_lines, as_object
from bittwist.app.torrentfile import naming, read_torrent, write_torrent
from bittwist.app.wording import printable
from bittwist.errors import MetainfoError, StorageError
from bittwist.metainfo.files import safe_path, safe_paths
from bittwist.metainfo.geometry import BLOCK
from bittwist.metainfo.info import MAX_PIECE_LENGTH
from bittwist.metainfo.magnet import Magnet
from bittwist.metainfo.metainfo import Metainfo
from bittwist.metainfo.urls import tracker_urls, web_seed_urls

if TYPE_CHECKING:
    IntType = click.ParamType[int]
else:
    IntType = click.ParamType  # it takes no type in older releases of click 8

_UNITS = {"k": 1 << 10, "m": 1 << 20}


class PieceLength(IntType):
    """A power of two from 16 KiB to 512 MiB, as bytes or like 256k and 1m; `auto` is 0."""

    name = "N|auto"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        text = str(value).lower()
        if text == "auto":
            return 0
        digits, unit = (text[:-1], _UNITS[text[-1]]) if text[-1:] in _UNITS else (text, 1)
        length = int(digits) * unit if digits.isascii() and digits.isdigit() and len(digits) < 12 else 0
        if not BLOCK <= length <= MAX_PIECE_LENGTH or length & (length - 1):
            self.fail(f"{value!r} is not auto, nor a power of two from 16k to 512m", param, ctx)
        return length


def _check_trackers(
    _context: click.Context, _parameter: click.Parameter, urls: tuple[str, ...]
) -> tuple[str, ...]:
    for url in urls:
        if tracker_urls([url]) != (url,):
            raise click.BadParameter(f"{url!r} is not the URL of a tracker (http, https, udp, ws or wss)")
    return urls


def _check_web_seeds(
    _context: click.Context, _parameter: click.Parameter, urls: tuple[str, ...]
) -> tuple[str, ...]:
    for url in urls:
        if web_seed_urls([url]) != (url,):
            raise click.BadParameter(f"{url!r} is not an http or https URL")
    return urls


def _check_name(_context: click.Context, _parameter: click.Parameter, name: str | None) -> str | None:
    if name is not None and (name in ("", ".", "..") or set(name) & set("/\\\0")):
        raise click.BadParameter(f"{name!r} cannot be the name of a file or folder")
    return name


json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@click.command()
@click.argument("path", metavar="PATH", type=click.Path(exists=True))
@click.option(
    "-o", "--output", metavar="FILE", help="Where to write it (NAME.torrent, here); - is standard output."
)
@click.option(
    "--tracker", "trackers", multiple=True, metavar="URL", callback=_check_trackers,
    help="A tracker to announce to; given again, one to try when those before do not answer.",
)  # fmt: skip
@click.option(
    "--web-seed", "web_seeds", multiple=True, metavar="URL", callback=_check_web_seeds,
    help="Where the same files are on the web.",
)  # fmt: skip
@click.option(
    "--piece-length", type=PieceLength(), default="auto", show_default=True,
    help="A power of two from 16k to 512m; auto (16k to 16m) makes at most 2048 pieces if it can.",
)  # fmt: skip
@click.option("--private", is_flag=True, help="Peers from these trackers only: no DHT, no peer exchange.")
@click.option("--name", metavar="NAME", callback=_check_name, help="The torrent's name, if not PATH's.")
@click.option("--comment", metavar="TEXT", help="A remark for whoever looks at it.")
@click.option("--source", metavar="TEXT", help="A mark that makes the hash another one, per site.")
@click.option(
    "--include", "includes", multiple=True, metavar="GLOB",
    help="Only files with such a name or relative path.",
)  # fmt: skip
@click.option(
    "--exclude", "excludes", multiple=True, metavar="GLOB",
    help="No files with such a name, relative path or folder; goes before --include.",
)  # fmt: skip
@click.option(
    "--threads", type=click.IntRange(1, 256), metavar="N", help="Hash on so many threads (one a core)."
)
@click.option("--force", is_flag=True, help="Write over FILE if it is there.")
@json_option
def create(
    path: str,
    output: str | None,
    trackers: tuple[str, ...],
    web_seeds: tuple[str, ...],
    piece_length: int,
    private: bool,
    name: str | None,
    comment: str | None,
    source: str | None,
    includes: tuple[str, ...],
    excludes: tuple[str, ...],
    threads: int | None,
    force: bool,
    as_json: bool,
) -> int:
    """Make a torrent file of the file or folder PATH.

    Files are listed in bytewise order of their paths; hidden ones are files like others, symbolic links
    are left out.
    """
    from bittwist.app.making import make_torrent
    from bittwist.metainfo.create import CreateOptions

    shared = Path(path)
    name = name if name is not None else shared.resolve().name
    if not name:
        raise click.UsageError(f"{path} has no name: give it one with --name")
    target: Path | None = None  # standard output
    if output == "-":
        _check_output(as_json)
    else:
        target = Path(output if output is not None else f"{safe_path((name,), top=True).name}.torrent")
        if target.is_dir():
            raise StorageError(str(target), "is a folder")
        if not force and target.exists():
            raise StorageError(str(target), "is there already (--force writes over it)")
        if not target.parent.is_dir():
            raise StorageError(str(target), "its folder is not there")
    options = CreateOptions(
        trackers=tuple((url,) for url in trackers),
        web_seeds=web_seeds,
        private=private,
        source=source,
        comment=comment,
        created_by=f"bittwist {__version__}",
        creation_date=int(time.time()),
    )
    metainfo = make_torrent(
        shared,
        name,
        piece_length,
        options,
        include=includes,
        exclude=excludes,
        threads=threads,
        target=target,
    )
    if target is None:
        sys.stdout.buffer.write(metainfo.encode())
        sys.stdout.flush()
        return 0
    write_torrent(metainfo, target, force=force)
    if as_json:
        click.echo(json.dumps(as_object(metainfo)))
        return 0
    click.echo(f"Wrote {printable(str(target))}")
    click.echo(f"Hash:   {metainfo.info.info_hash}")
    click.echo(f"Magnet: {Magnet.of(metainfo)}")
    return 0


def _check_output(as_json: bool) -> None:
    if as_json:
        raise click.UsageError("--json and -o - would both write to standard output")
    if sys.stdout.isatty():
        raise click.UsageError("a torrent file is not for a terminal: send it to a pipe or file")


@click.command()
@click.argument("torrent", metavar="FILE|MAGNET")
@json_option
def show(torrent: str, as_json: bool) -> int:
    """Show what is in a torrent file or magnet link."""
    source: Metainfo | Magnet | None = magnet_or_none(torrent)
    if source is None:
        check_torrent_file(torrent)
        source = read_torrent(torrent)
    with naming(torrent):
        lines = [json.dumps(as_object(source))] if as_json else list(as_lines(source))
    for line in lines:
        click.echo(line)
    return 0


@click.command()
@click.argument("torrent", metavar="TORRENT")
@click.argument("path", metavar="PATH", type=click.Path(exists=True))
@click.option(
    "--threads", type=click.IntRange(1, 256), metavar="N", help="Hash on so many threads (one a core)."
)
@json_option
def verify(torrent: str, path: str, threads: int | None, as_json: bool) -> int:
    """Compare files on disk with a torrent, file by file; exit code 1 unless all are complete.

    PATH is the shared file or folder, or the folder that holds it.
    """
    from bittwist.app.hashing_progress import hashing_progress
    from bittwist.storage.comparing import verify as compare

    check_torrent_file(torrent)
    metainfo = read_torrent(torrent)
    if not metainfo.info.is_v1:
        raise MetainfoError(f"{torrent}: this torrent has only a v2 form, which cannot be verified yet")
    with naming(torrent):
        # Shown by their safe names, as `show` has them, wherever they were found.
        names = zip(safe_paths(metainfo.info), metainfo.info.files)
    with hashing_progress("Verifying") as moved:
        results = compare(metainfo, Path(path), threads=threads, progress=moved)
    good = [result for result in results if result.good]
    complete = len(good) == len(results)
    real = [name for name, entry in names if not (entry.is_pad or entry.is_symlink)]
    shown = list(zip(real, results, strict=True))
    if as_json:
        files = [
            {
                "path": str(name),
                "size": result.size,
                "verdict": result.verdict.value,
                "pieces": result.pieces,
                "bad_pieces": result.bad_pieces,
            }
            for name, result in shown
        ]
        click.echo(json.dumps({"name": metainfo.info.name, "complete": complete, "files": files}))
        return 0 if complete else 1
    for name, result in shown:
        bad = f" ({result.bad_pieces} of {result.pieces} pieces)" if result.bad_pieces else ""
        reason = f": {result.reason}" if result.reason else ""
        click.echo(f"{result.verdict.value:<11} {printable(str(name))}{bad}{reason}")
    click.echo(f"{len(good)} of {len(results)} files are complete")
    return 0 if complete else 1


@click.command()
@click.argument("torrent", metavar="FILE")
def magnet(torrent: str) -> int:
    """Print the magnet link of a torrent file."""
    check_torrent_file(torrent)
    click.echo(str(Magnet.of(read_torrent(torrent))))
    return 0
