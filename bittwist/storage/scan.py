"""Which files a torrent of a file or folder is made of, in the order it lists them."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from bittwist.errors import StorageError
from bittwist.metainfo.create import order
from bittwist.storage.folder import mapped


@dataclass(frozen=True, slots=True)
class ScannedFile:
    """A regular file, and its path below the shared folder (empty for a single file)."""

    path: Path
    components: tuple[str, ...]
    size: int


def scan(
    path: Path,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    *,
    left_out: Callable[[Path], None] | None = None,
) -> list[ScannedFile]:
    """The files at or below `path`, bytewise by their whole relative path; hidden ones are files like others.

    A glob is compared with the relative path, and with each name in it; `exclude` goes before `include`.
    Links and what is no regular file are never followed or read: `left_out` is told of them.
    StorageError where something cannot be read or nothing is there.
    """
    with mapped(path):
        path = path.resolve(strict=True)
        found = os.stat(path)
    if stat.S_ISREG(found.st_mode):
        return [ScannedFile(path, (), found.st_size)]
    if not stat.S_ISDIR(found.st_mode):
        raise StorageError(str(path), "is no file or folder")
    files = []
    for entry, components in walk(path, left_out):
        if _wanted(components, include, exclude):
            file = Path(entry.path)
            with mapped(file):
                files.append(ScannedFile(file, components, entry.stat(follow_symlinks=False).st_size))
    if not files:
        raise StorageError(str(path), "there are no files to share")
    return sorted(files, key=lambda file: order(file.components))


def walk(
    root: Path,
    left_out: Callable[[Path], None] | None = None,
    enter: Callable[[tuple[str, ...]], bool] = lambda components: True,
) -> Iterator[tuple[os.DirEntry[str], tuple[str, ...]]]:
    """The regular files below a folder with their relative path, in no order; no link is followed.

    Only folders are looked into, but for `root`, that `enter` says yes to. StorageError, naming the folder,
    where one cannot be read.
    """
    folders: list[tuple[Path, tuple[str, ...]]] = [(root, ())]
    while folders:
        folder, components = folders.pop()
        with mapped(folder), os.scandir(folder) as entries:
            for entry in entries:
                below = (*components, entry.name)
                if entry.is_dir(follow_symlinks=False):
                    if enter(below):
                        folders.append((Path(entry.path), below))
                elif entry.is_file(follow_symlinks=False):
                    yield entry, below
                elif left_out is not None:
                    left_out(Path(entry.path))


def _wanted(components: tuple[str, ...], include: Sequence[str], exclude: Sequence[str]) -> bool:
    if any(_matches(components, glob) for glob in exclude):
        return False
    return not include or any(_matches(components, glob) for glob in include)


def _matches(components: tuple[str, ...], glob: str) -> bool:
    names = ("/".join(components), *components)
    return any(fnmatchcase(name, glob) for name in names)
