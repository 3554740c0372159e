"""What a place for a torrent's bytes must do: `IStorage`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

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

    def prepare(skipped: frozenset[int] = frozenset()) -> None:
        """Make the folders and files that are missing (and all their room, if that was asked for).

        Nothing that is there already is changed or shortened. Files that are `skipped` are not made: what
        pieces hold of them is kept elsewhere while they are not there (`part_stamp`), and is in them when a
        later call, which skips fewer, makes them. Once made, a file stays, skipped or not. One that has
        appeared by itself is not ours: StorageError.
        """

    def read_into(index: int, begin: int, view: memoryview) -> None:
        """Fill `view` with the bytes of the piece from `begin`; MissingData where they do not exist."""

    def write(index: int, begin: int, view: memoryview) -> None:
        """Write all of `view` into the piece at `begin`. Nothing is durable before `sync`."""

    def sync(everything: bool = False) -> None:
        """Make durable what was written since the last sync, or whatever is there (`everything`)."""

    def stamps() -> tuple[FileStamp | None, ...]:
        """One for each file of the torrent; None where there is no such file."""

    def part_stamp() -> FileStamp | None:
        """Of what holds the bytes of files that are not there; None where there is no such thing."""

    def rename(file: int, path: PurePosixPath) -> None:
        """Give a file, there or not, another path below the folder; StorageError where something has it."""

    def take_over(folder: Path, paths: Sequence[PurePosixPath]) -> Iterator[int]:
        """Bring here what an earlier storage of this torrent left in `folder`, its files named `paths`.

        Nothing may be read or written meanwhile. Each step of the iteration blocks for a moment and tells the
        bytes it copied. When it is given up or interrupted each file is still whole in one of the two places,
        and doing it again finishes it. StorageError where something else is in the way.
        """

    def forget() -> None:
        """Remove what is kept of files that are not there: the torrent is given up. Its files stay."""

    def place() -> Place | None:
        """The folder all is saved in; None where there is none."""

    def holes(index: int) -> bool:
        """Whether no byte of the piece was ever written: it lies in holes or past the ends of files."""

    def occupied() -> bool:
        """Whether any of the files is there already with something in it."""

    def close() -> None:
        """Give back what is held open. A later call opens it again."""
