"""Where the files of a torrent are, when somebody points at them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from bittwist.metainfo.files import safe_paths
from bittwist.metainfo.info import Info
from bittwist.storage.folder import mapped
from bittwist.storage.scan import walk


@dataclass(frozen=True, slots=True)
class Located:
    """The folder, and each file's path below it: what FileStorage takes."""

    root: Path
    paths: tuple[PurePosixPath, ...]


def locate(info: Info, path: Path) -> Located:
    """Find the files from `path`: the shared file or folder, or the folder that holds it.

    Files may have the names the torrent gives them, where a download would have had to change them (for
    these are the originals); the shared file or folder itself may have any name. A file that is not there
    has the path a download would give it.
    """
    safe = safe_paths(info)
    if info.single_file:
        if not path.is_dir():
            return Located(path.parent, (PurePosixPath(path.name),))
        names = _names(info, safe)
        there = next((name for name in names if (path / name).is_file()), names[0])
        return Located(path, (PurePosixPath(there),))
    below = [PurePosixPath(*one.parts[1:]) for one in safe]
    looked = [(path / name, name, *_look(info, path / name, below)) for name in _names(info, safe)]
    _, name, found, paths = max(looked, key=lambda one: one[2])
    itself, paths_itself = _look(info, path, below)
    if itself > found or (itself == found and path.name == name):
        return Located(path, paths_itself)
    return Located(path, tuple(PurePosixPath(name, one) for one in paths))


def _names(info: Info, safe: tuple[PurePosixPath, ...]) -> list[str]:
    """What the shared file or folder may be called in the folder that holds it."""
    names = [safe[0].parts[0]]
    if info.name not in (*names, "", ".", "..") and not {"/", "\0"} & set(info.name):
        names.append(info.name)
    return names


def _look(info: Info, folder: Path, below: list[PurePosixPath]) -> tuple[int, tuple[PurePosixPath, ...]]:
    """How many of the files are in the shared folder, and the paths of all."""
    there: set[PurePosixPath] = set()
    listed: dict[tuple[str, ...], PurePosixPath] = {}
    if folder.is_dir():
        with mapped(folder):
            for _, components in walk(folder):
                path = PurePosixPath(*components)
                there.add(path)
                listed[tuple(_as_listed(name) for name in components)] = path
    paths = [one if one in there else listed.get(entry.path, one) for entry, one in zip(info.files, below)]
    return sum(path in there for path in paths), tuple(paths)


def _as_listed(name: str) -> str:
    """A name of the file system as a torrent of it shows it."""
    return os.fsencode(name).decode(errors="replace")
