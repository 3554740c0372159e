"""Files that are given to others just as they are: checked and read, never written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from threading import Event
from typing import Any

from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThreadPool

from bittwist.errors import SessionError, StorageError
from bittwist.metainfo.info import Info
from bittwist.session import Session, SessionSettings, Torrent
from bittwist.session.lifecycle import State
from bittwist.storage.comparing import FileResult, Verdict, verify
from bittwist.storage.files import FileStorage
from bittwist.storage.locate import Located
from bittwist.storage.openfiles import OpenFiles

LOOK_EVERY = 0.05  # seconds between looks whether the check is over


class UntouchedFiles(FileStorage):
    """What `seed` and `share` give: a file that has changed or is missing is neither mended nor made."""

    def prepare(self, skipped: frozenset[int] = frozenset()) -> None:
        """What is not there is not made."""

    def write(self, index: int, begin: int, view: memoryview) -> None:
        raise StorageError(f"piece {index}", "is wrong, and what is given is not written to")

    def sync(self, everything: bool = False) -> None:
        """Nothing was written."""

    def forget(self) -> None:
        """What is kept of files that are skipped is another program's."""


def seeding_session(reactor: Any, settings: SessionSettings, located: Located) -> Session:
    """A session that keeps nothing, for files that have any names.

    Torrents are added to it with `force`, as it writes over nothing.
    """
    open_files = OpenFiles(settings.disk.open_files)
    return Session(
        reactor,
        settings,
        storage=lambda _path, info: UntouchedFiles(
            located.root, info, paths=located.paths, open_files=open_files
        ),
    )


def whole(info: Info, located: Located) -> None:
    """StorageError, naming the first file that is missing or has another size, unless all are there."""
    for entry, below in zip(info.files, located.paths):
        path = located.root / below
        if not (entry.is_pad or entry.is_symlink or _fits(path, entry.size)):
            raise StorageError(str(path), f"is not there with {entry.size} bytes")


def _fits(path: Path, size: int) -> bool:
    try:
        return path.is_file() and path.stat().st_size == size
    except OSError:
        return False


async def checked(reactor: Any, torrent: Torrent, path: Path) -> None:
    """Until the check of what is at `path` is over; StorageError, naming a file, unless all is right.

    What has changed is found by hashing once more: a torrent tells how many pieces are wrong, not which.
    """
    while torrent.state is State.CHECKING:
        await deferLater(reactor, LOOK_EVERY)
    if torrent.state is State.SEEDING:
        return
    if torrent.state is State.FAILED:
        raise SessionError(torrent.reason)
    found = torrent.statistics()
    await torrent.stop()
    metainfo = torrent.metainfo
    assert metainfo is not None, "a seed begins with the metainfo"
    over = Event()  # tells the hashing threads to give up
    try:
        results = await deferToThreadPool(
            reactor, reactor.getThreadPool(), lambda: verify(metainfo, path, cancelled=over.is_set)
        )
    finally:
        over.set()
    raise _changed(results, found.num_pieces, found.pieces_done)


def _changed(results: Sequence[FileResult], num_pieces: int, pieces_done: int) -> StorageError:
    """What to say of files whose pieces are not all right: one that is to blame for certain comes first."""
    bad = [result for result in results if not result.good]
    for result in [result for result in bad if result.verdict is not Verdict.UNKNOWN] or bad:
        pieces = f"{result.bad_pieces} of its {result.pieces} pieces are wrong"
        return StorageError(str(result.path), result.reason or f"it has changed: {pieces}")
    return StorageError("the files", f"only {pieces_done} of {num_pieces} pieces were right at first")
