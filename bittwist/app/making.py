"""A torrent made of a file or folder, as `bittwist create` does it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from bittwist.app.hashing_progress import hashing_progress
from bittwist.app.wording import printable
from bittwist.errors import StorageError
from bittwist.metainfo.create import CreateOptions, create, piece_length_for
from bittwist.metainfo.metainfo import Metainfo
from bittwist.storage.hashing import hash_tree, scan


def make_torrent(
    path: Path,
    name: str,
    piece_length: int,
    options: CreateOptions,
    *,
    include: Sequence[str],
    exclude: Sequence[str],
    threads: int | None,
    target: Path | None,
) -> Metainfo:
    """Scan and hash `path`; a piece length of 0 is automatic, `target` (an older torrent) is left out.

    Says on standard error what is left out and how far it has come.
    """
    left_out: list[Path] = []
    older = target.resolve() if target is not None else None
    files = [file for file in scan(path, include, exclude, left_out=left_out.append) if file.path != older]
    if not files:
        raise StorageError(str(path), "there are no files to share")
    for link in left_out:
        click.echo(f"Left out, for it is no file: {printable(str(link))}", err=True)
    sizes = [file.size for file in files]
    length = piece_length or piece_length_for(sum(sizes))
    with hashing_progress("Hashing") as moved:
        pieces = hash_tree(
            [file.path for file in files], length, sizes=sizes, threads=threads, progress=moved
        )
    return create(name, [(file.components, file.size, "") for file in files], length, pieces, options)
