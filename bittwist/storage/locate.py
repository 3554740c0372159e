"""Where the files of a torrent are, when somebody points at them."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path, PurePosixPath

from bittwist.metainfo.create import order
from bittwist.metainfo.files import safe_paths
from bittwist.metainfo.info import Info
from bittwist.metainfo.names import split_extension
from bittwist.storage.scan import walk

Choices = Sequence[Sequence[PurePosixPath]]
"""For each file of a torrent, the paths it may have, best first."""

There = Mapping[PurePosixPath, os.DirEntry[str]]
"""The regular files below a folder."""


@dataclass(frozen=True, slots=True)
class Located:
    """The folder, and each file's path below it: what FileStorage takes."""

    root: Path
    paths: tuple[PurePosixPath, ...]


def locate(info: Info, path: Path) -> Located:
    """Find the files from `path`: the shared file or folder, or the folder that holds it.

    Files may have the names the torrent gives them, where a download would have had to change them (for
    these are the originals), or those that a download gives; the shared file or folder itself may have any
    name. No file that is there is found twice. One that is not there has the path a download would give it,
    unless that is another's.
    """
    safe = safe_paths(info)
    names = _names(info, safe)
    if info.single_file:
        if not path.is_dir():
            return Located(path.parent, (PurePosixPath(path.name),))
        there = next((name for name in names if (path / name).is_file()), names[-1])
        return Located(path, (PurePosixPath(there),))
    below = [PurePosixPath(*one.parts[1:]) for one in safe]
    looked = [(name, _look(info, path / name, below)) for name in names if (path / name).is_dir()]
    name, held = max(looked, key=lambda one: one[1].score, default=(names[-1], None))
    itself = _look(info, path, below)
    if held is None:
        held = _Found(tuple(below), (0, 0))
    if itself.score > held.score or (itself.score == held.score and path.name == name):
        return Located(path, itself.paths)
    return Located(path, tuple(PurePosixPath(name, one) for one in held.paths))


@dataclass(frozen=True, slots=True)
class _Found:
    """A path for each file; the score is how many are there, and how many of these with the right size."""

    paths: tuple[PurePosixPath, ...]
    score: tuple[int, int]


def _names(info: Info, safe: Sequence[PurePosixPath]) -> list[str]:
    """What the shared file or folder may be called in the folder that holds it, the safe name last."""
    own = [info.name] if _is_plain(info.name) else []
    return list(dict.fromkeys([*own, safe[0].parts[0]]))


def _look(info: Info, folder: Path, below: Sequence[PurePosixPath]) -> _Found:
    """The files in the shared folder: as originals or, where more of them are found so, as a download."""
    there: dict[PurePosixPath, os.DirEntry[str]] = {}
    if folder.is_dir():
        files = walk(folder, enter=_ways(info, below))
        there = {PurePosixPath(*components): entry for entry, components in files}
    own, safe = _own(info, there), [(path,) for path in below]
    return max(
        (
            _scored(_assigned(info, rounds, below, there), info, there)
            for rounds in ((own, safe), (safe, own))
        ),
        key=lambda found: found.score,
    )


def _ways(info: Info, below: Sequence[PurePosixPath]) -> Callable[[tuple[str, ...]], bool]:
    """Whether a file of the torrent can be in a folder, as an original or as a download.

    There may be a whole file system around them.
    """
    own = {entry.path[:depth] for entry in info.files for depth in range(1, len(entry.path))}
    safe = {path.parts[:depth] for path in below for depth in range(1, len(path.parts))}
    return lambda folder: folder in safe or tuple(map(_as_listed, folder)) in own


def _own(info: Info, there: There) -> Choices:
    """The files that have the names the torrent lists. Several may read alike: they come in its order."""
    named: defaultdict[tuple[str, ...], list[PurePosixPath]] = defaultdict(list)
    for path in sorted(there, key=lambda path: order(path.parts)):
        named[tuple(_as_listed(name) for name in path.parts)].append(path)
    return [named.get(entry.path, ()) for entry in info.files]


def _assigned(
    info: Info, rounds: Sequence[Choices], below: Sequence[PurePosixPath], there: There
) -> tuple[PurePosixPath, ...]:
    """A path for each file: all choose in the first round, those that found nothing in the next."""
    paths: dict[int, PurePosixPath] = {}
    taken: set[PurePosixPath] = set()
    for choices in rounds:
        for file, entry in enumerate(info.files):
            if file in paths or entry.is_pad or entry.is_symlink:
                continue
            found = next((path for path in choices[file] if path in there and path not in taken), None)
            if found is not None:
                paths[file] = found
                taken.add(found)
    for file, entry in enumerate(info.files):
        if file not in paths:
            candidates = _free_names(below[file], entry.path)
            paths[file] = next(path for path in candidates if path not in taken and path not in there)
            taken.add(paths[file])
    return tuple(paths[file] for file in range(len(info.files)))


def _free_names(safe: PurePosixPath, listed: tuple[str, ...]) -> Iterator[PurePosixPath]:
    """What a file that is not there may be called."""
    yield safe
    if all(map(_is_plain, listed)):
        yield PurePosixPath(*listed)
    stem, extension = split_extension(safe.name)
    yield from (safe.with_name(f"{stem} ({number}){extension}") for number in count(1))


def _scored(paths: tuple[PurePosixPath, ...], info: Info, there: There) -> _Found:
    found = [(there[path], entry.size) for path, entry in zip(paths, info.files) if path in there]
    return _Found(paths, (len(found), sum(_size(entry) == size for entry, size in found)))


def _size(entry: os.DirEntry[str]) -> int | None:
    try:
        return entry.stat(follow_symlinks=False).st_size
    except OSError:
        return None  # gone since; whoever opens it says so


def _is_plain(name: str) -> bool:
    """Whether this is one name in a folder, whatever else is to be said against it."""
    return name not in ("", ".", "..") and not {"/", "\0"} & set(name)


def _as_listed(name: str) -> str:
    """A name of the file system as a torrent of it shows it."""
    return os.fsencode(name).decode(errors="replace")
