"""Files brought to where they are to be, and which of them nobody brings: deleted by the user, or missed.

What the journal names and is not there is missed, as its drive may be (SECURITY.md F3), unless it was gone
before the move was asked for, from a folder that was there: then it was deleted. Which files that were is
kept with the home they were gone from, as later they look like those that were brought and are missed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bittwist.errors import FolderGone
from bittwist.metainfo.info import Info
from bittwist.session.home import Home
from bittwist.storage.interfaces import IStorage
from bittwist.storage.recovery import check_place
from bittwist.storage.resume import Journal, Journaled


@dataclass(frozen=True, slots=True)
class Left:
    """A home that files are still to be brought from, and the storage of what is there."""

    home: Home
    storage: IStorage


def gone_from(path: Path | None, info: Info, storage: IStorage) -> tuple[int, ...]:
    """In a disk thread: the files that the journal at `path` names and that are deleted, by number."""
    journaled = Journal(path).read(info) if path is not None else None
    if journaled is None or storage.place() != journaled.place:
        return ()  # where the folder is not the one it was, they may be elsewhere
    stamps = storage.stamps()
    return tuple(file for file, now in enumerate(stamps) if journaled.begun[file] and now is None)


def bring(
    path: Path | None, info: Info, storage: IStorage, folder: Path, left: Sequence[Left], *, resumed: bool
) -> Iterator[int]:
    """The steps that bring all that was `left` to `folder`, each a moment's work for a disk thread.

    `resumed`: a move or rename that was interrupted goes on. FolderGone where files are missed.
    """
    journaled = _without_deleted(path, info, storage, left)
    if resumed and journaled is not None:
        _check_begun(journaled, storage, folder, left)
    for each in left:
        yield from storage.take_over(each.home.folder, each.home.paths(info))
    yield 0
    stamps = storage.stamps()
    if journaled is not None and _missed(journaled, stamps):
        # Deleted by the user meanwhile, or on a drive that is not there (SECURITY.md F3)?
        check_place(str(left[0].home.folder), journaled, left[0].storage.place(), stamps)


def _without_deleted(
    path: Path | None, info: Info, storage: IStorage, left: Sequence[Left]
) -> Journaled | None:
    """Have the journal no longer name the files that were deleted before, nor vouch for their pieces."""
    if path is None:
        return None
    journal = Journal(path)
    journaled = journal.read(info)
    gone = {file for each in left for file in each.home.gone}
    if journaled is None or not gone:
        return journaled
    there = [storage.stamps(), *(each.storage.stamps() for each in left)]
    deleted = {file for file in gone if journaled.begun[file] and not any(stamps[file] for stamps in there)}
    if not deleted:
        return journaled
    have = journaled.have.copy()
    for file in deleted:
        for index in info.geometry.pieces_of_file(file):
            have.discard(index)
    begun = tuple(None if file in deleted else was for file, was in enumerate(journaled.begun))
    journal.begin(info, have, journaled.place, begun)
    if journaled.stopped is not None:
        journal.stop(journaled.stopped)
    return replace(journaled, have=have, begun=begun)


def _check_begun(journaled: Journaled, storage: IStorage, folder: Path, left: Sequence[Left]) -> None:
    """FolderGone where a move that goes on finds nothing it brought before: is a drive missing (F3)?"""
    stamps, place = storage.stamps(), storage.place()
    if any(stamps) or place == journaled.place:
        return
    elsewhere = [each.storage.stamps() for each in left]
    if any(
        was and not any(some[file] for some in elsewhere) for file, was in enumerate(journaled.begun[:-1])
    ):
        found = None if place is None else (place.device, place.inode)
        raise FolderGone(str(folder), "the files that were brought there are missing", found)


def _missed(journaled: Journaled, stamps: Sequence[object]) -> bool:
    return any(was and not now for was, now in zip(journaled.begun, stamps))
