"""What a place for a torrent's bytes must do: `IStorage`."""

from __future__ import annotations

from dataclasses import dataclass

from zope.interface import Interface

from bittwist.errors import StorageError


class MissingData(StorageError):
    """The bytes asked for were never written here (a file is not there, or ends too soon)."""


@dataclass(frozen=True, slots=True)
class FileStamp:
    """What a file looked like: equal stamps mean that nobody has written to it in between."""

    size: int
    mtime_ns: int
    inode: int
    device: int


@dataclass(frozen=True, slots=True)
class Place:
    """Which folder a torrent is saved in; another drive or an empty mount point is another place."""

    device: int
    inode: int


class IStorage(Interface):
    """Where the bytes of one torrent are. Every method blocks and is called only in disk threads.

    Methods may run in several threads at once, for different pieces. All raise StorageError with the path and
    the reason, DiskFull where there is no room. `tests/storage/contract.py` holds what each must obey.
    """

    def prepare() -> None:
        """Make the folders and files that are missing (and all their room, if that was asked for).

        Nothing that is there already is changed or shortened.
        """

    def read_into(index: int, begin: int, view: memoryview) -> None:
        """Fill `view` with the bytes of the piece from `begin`; MissingData where they do not exist."""

    def write(index: int, begin: int, view: memoryview) -> None:
        """Write all of `view` into the piece at `begin`. Nothing is durable before `sync`."""

    def sync(everything: bool = False) -> None:
        """Make durable what was written since the last sync, or whatever is there (`everything`)."""

    def stamps() -> tuple[FileStamp | None, ...]:
        """One for each file of the torrent; None where there is no such file."""

    def place() -> Place | None:
        """The folder all is saved in; None where there is none."""

    def holes(index: int) -> bool:
        """Whether no byte of the piece was ever written: it lies in holes or past the ends of files."""

    def occupied() -> bool:
        """Whether any of the files is there already with something in it."""

    def close() -> None:
        """Give back what is held open. A later call opens it again."""
