"""The files of a torrent, and the safe, unique path of each (BEP 3, BEP 47).

Names are kept as found; only here do they become paths.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import PurePosixPath
from typing import Protocol

from bittwist.errors import UnsafePath
from bittwist.metainfo.names import MAX_PATH_DEPTH, cut, fold, safe_parts, split_extension

OURS = ".bittwist"  # where `download` keeps its journal: never the name of a download


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file as the info dictionary lists it.

    `path` is below the torrent's name and so is empty in a single-file torrent; bytes that are not UTF-8
    show as U+FFFD. `attr` holds letters of BEP 47; `symlink` is where a symbolic link points, below the
    torrent's name; `pieces_root` is the v2 root of a file that is not empty.
    """

    path: tuple[str, ...]
    size: int
    attr: str = ""
    symlink: tuple[str, ...] | None = None
    pieces_root: bytes | None = None
    mtime: int | None = None

    @property
    def is_pad(self) -> bool:
        """Whether this is padding: zeros that are hashed and never written."""
        return "p" in self.attr

    @property
    def is_written(self) -> bool:
        """Whether there is to be a file for it: neither padding nor a symbolic link."""
        return not (self.is_pad or self.is_symlink)

    @property
    def is_executable(self) -> bool:
        return "x" in self.attr

    @property
    def is_hidden(self) -> bool:
        return "h" in self.attr

    @property
    def is_symlink(self) -> bool:
        return "l" in self.attr


class Listing(Protocol):
    """What has files to be named: an `Info`."""

    @property
    def name(self) -> str: ...
    @property
    def files(self) -> tuple[FileEntry, ...]: ...


def safe_paths(info: Listing, *, portable: bool = True) -> tuple[PurePosixPath, ...]:
    """A path for each file, in their order: relative, beginning with the torrent's name, unique.

    Unique after NFC and case folding, and never a folder that another file needs. Padding and symbolic links
    have a path like any other file. UnsafePath if of some name nothing is left.
    """
    root = safe_path((info.name,), portable=portable, top=True).parts
    known = cache(lambda component: safe_parts(component, portable))
    wanted = []
    for entry in info.files:
        parts = root
        for component in entry.path:
            parts += known(component)
        if entry.path and len(parts) == len(root):
            raise _nothing_left(entry.path)
        _check_depth(parts)
        wanted.append(parts)
    return _without_twins(wanted)


def safe_path(components: Sequence[str], *, portable: bool = True, top: bool = False) -> PurePosixPath:
    """One relative path that stays below any folder it is joined to; UnsafePath if nothing is left of it.

    `portable` makes it good on Windows and macOS too; `top` says that it will stand directly in a download
    folder, where one name is ours.
    """
    parts = tuple(part for component in components for part in safe_parts(component, portable))
    if not parts:
        raise _nothing_left(components)
    _check_depth(parts)
    if top and fold(parts[0]) == OURS:
        parts = (f"_{parts[0]}", *parts[1:])
    return PurePosixPath(*parts)


def renamed(
    paths: Sequence[PurePosixPath], names: Mapping[int, PurePosixPath], *, portable: bool = True
) -> tuple[PurePosixPath, ...]:
    """The paths, some of them replaced by ones that the user chose, as far as these are safe.

    UnsafePath if nothing is left of a name, or if it is that of another file or of a folder that one is in.
    IndexError where there is no such file.
    """
    changed = list(paths)
    for file, path in names.items():
        if not 0 <= file < len(changed):
            raise IndexError(file)
        changed[file] = safe_path(path.parts, portable=portable, top=True)
    taken: set[str] = set()
    folders = {fold(str(parent)) for path in changed for parent in path.parents}
    for path in changed:
        key = fold(str(path))
        if key in taken or key in folders:
            raise UnsafePath(f"another file has the name {path}")
        taken.add(key)
    return tuple(changed)


def _nothing_left(components: Sequence[str]) -> UnsafePath:
    return UnsafePath(f"nothing safe is left of the name {'/'.join(components)[:80]!r}")


def _check_depth(parts: tuple[str, ...]) -> None:
    if len(parts) > MAX_PATH_DEPTH:
        raise UnsafePath(f"the path {'/'.join(parts)[:80]!r} has more than {MAX_PATH_DEPTH} parts")


def _without_twins(wanted: list[tuple[str, ...]]) -> tuple[PurePosixPath, ...]:
    """The paths, with a number in the name of those that are another's twin or a folder of others."""
    folded = cache(fold)
    taken = set()
    folders = []
    for parts in wanted:
        folder = ""
        for part in parts[:-1]:
            folder += folded(part)
            taken.add(folder)
            folder += "/"
        folders.append(folder)
    numbers: dict[
        str, int
    ] = {}  # the next to try; they only grow, so that any number of twins is linear work
    paths = []
    for parts, folder in zip(wanted, folders):
        path = folder + folded(parts[-1])
        if path in taken:
            name = parts[-1]
            stem, extension = split_extension(cut(name))
            key = f"{folder}{fold(stem)}/{fold(extension)}"
            while path in taken:
                numbers[key] = number = numbers.get(key, 0) + 1
                name = f"{stem} ({number}){extension}"
                path = folder + fold(name)
            parts = (*parts[:-1], name)
        taken.add(path)
        paths.append(PurePosixPath(*parts))
    return tuple(paths)
