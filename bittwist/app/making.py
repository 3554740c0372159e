"""A torrent made of a file or folder, as `bittwist create` and `share` do it. Blocks; knows no reactor."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path

import click

from bittwist.app.hashing_progress import hashing_progress
from bittwist.app.wording import printable
from bittwist.errors import StorageError
from bittwist.metainfo.create import CreateOptions, create, piece_length_for
from bittwist.metainfo.metainfo import Metainfo
from bittwist.storage.hashing import ScannedFile, hash_tree, scan


def make_torrent(
    path: Path,
    name: str,
    piece_length: int,
    options: CreateOptions,
    *,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    threads: int | None = None,
    target: Path | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Metainfo:
    """Scan and hash `path`; a piece length of 0 is automatic, `target` (an older torrent) is left out.

    Says on standard error what is left out, what others cannot use and how far it has come.
    concurrent.futures.CancelledError when `cancelled`, asked ten times a second, says yes.
    """
    older = target.resolve() if target is not None else None
    files = [file for file in _scan(path, include, exclude) if file.path != older]
    if not files:
        raise StorageError(str(path), "there are no files to share")
    if options.private and not options.trackers:
        _warn("No peer can find another: the torrent is private, and names no tracker (--tracker)")
    _warn_of_names(["/".join((name, *file.components)) for file in files])
    sizes = [file.size for file in files]
    length = piece_length or piece_length_for(sum(sizes))
    with hashing_progress("Hashing") as moved:
        pieces = hash_tree(
            [file.path for file in files],
            length,
            sizes=sizes,
            threads=threads,
            progress=moved,
            cancelled=cancelled,
        )
    return create(name, [(file.components, file.size, "") for file in files], length, pieces, options)


def _scan(path: Path, include: Sequence[str], exclude: Sequence[str]) -> list[ScannedFile]:
    try:
        return scan(
            path, include, exclude, left_out=lambda link: _warn(f"Left out, for it is no file: {link}")
        )
    except StorageError:
        if not (include or exclude):
            raise
        count = len(scan(path))  # raises the same unless it is the globs that leave none
        globs = [f"--include {glob}" for glob in include] + [f"--exclude {glob}" for glob in exclude]
        raise StorageError(str(path), f"of its {count} files none is left by {', '.join(globs)}") from None


def _warn_of_names(names: Sequence[str]) -> None:
    """Of those with what is no part of a name on other systems, or on a terminal."""
    broken = [
        name for name in names if any(each == "\\" or unicodedata.category(each) == "Cc" for each in name)
    ]
    if broken:
        more = f" (and {len(broken) - 1} more)" if len(broken) > 1 else ""
        why = "has a backslash or control character, which others change or refuse"
        _warn(f"A name {why}: {broken[0]}{more}")


def _warn(line: str) -> None:
    click.echo(printable(line), err=True)
