"""Torrent files read and written, without a reactor."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bittwist.errors import MetainfoError, StorageError
from bittwist.metainfo.metainfo import MAX_TORRENT, Metainfo


def read_torrent(path: str) -> Metainfo:
    """Read a torrent file; StorageError where it cannot be read, MetainfoError where it is none."""
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_TORRENT + 1)
    except OSError as error:
        raise StorageError(path, error.strerror or str(error)) from error
    with naming(path):
        return Metainfo.parse(data)


@contextmanager
def naming(source: str) -> Iterator[None]:
    """Meanwhile what is found wrong with a torrent is told with where it comes from."""
    try:
        yield
    except MetainfoError as error:
        raise MetainfoError(f"{source}: {error.reason}") from error


def write_torrent(metainfo: Metainfo, path: Path, *, force: bool = False) -> None:
    """Write a torrent file whole; StorageError where it cannot be, or is there already and not `force`."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(part, "xb") as file:
            file.write(metainfo.encode())
        try:
            if force:
                os.replace(part, path)
            else:
                os.link(part, path)
        finally:
            part.unlink(missing_ok=True)
    except FileExistsError as error:
        raise StorageError(str(path), "is there already (--force writes over it)") from error
    except OSError as error:
        raise StorageError(str(path), error.strerror or str(error)) from error
