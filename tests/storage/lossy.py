"""A disk that keeps what was synced and gambles with the rest when the power goes (SECURITY.md T28, T29)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from random import Random

from zope.interface import implementer

from bittwist.errors import StorageError
from bittwist.metainfo.info import Info
from bittwist.storage.interfaces import FileStamp, IStorage, MissingData, Place

SECTOR = 4096  # what reaches the disk whole or not at all


class PowerCut(StorageError):
    """Nothing that is called from now on has any effect."""

    def __init__(self) -> None:
        super().__init__("the machine", "the power was cut")


class LossyDisk:
    """The bytes of one torrent's files and of its journal: as they are seen, and as they are on the platters.

    The `cut_at`th operation is the last, and happens in part. The `fail_at`th raises `error`, and those after
    it are well.
    """

    def __init__(self, info: Info, random: Random) -> None:
        self.info = info
        self.random = random
        self.seen = [bytearray() for _ in info.files]
        self.durable = [bytearray() for _ in info.files]
        self.unsynced: list[tuple[int, int, bytes]] = []  # file, offset, a sector
        self.made = False
        self.mtime = 0
        self.journal: bytes | None = None
        self.operations = 0
        self.cut_at: int | None = None
        self.dead = False
        self.fail_at: int | None = None
        self.error: StorageError = StorageError("share", "Input/output error")

    def operate(self) -> bool:
        """Whether this operation is to be done whole; PowerCut if not at all."""
        if self.dead:
            raise PowerCut
        self.operations += 1
        if self.operations == self.fail_at:
            raise self.error
        self.dead = self.operations == self.cut_at
        return not self.dead

    def write(self, file: int, offset: int, content: bytes) -> None:
        seen = self.seen[file]
        if len(seen) < offset + len(content):
            seen.extend(bytes(offset + len(content) - len(seen)))
        seen[offset : offset + len(content)] = content
        self.mtime += 1
        for at in range(0, len(content), SECTOR):
            self.unsynced.append((file, offset + at, content[at : at + SECTOR]))

    def sync(self, files: set[int]) -> None:
        for file in files:
            self.durable[file] = bytearray(self.seen[file])
        self.unsynced = [sector for sector in self.unsynced if sector[0] not in files]

    def kill(self) -> None:
        """The process dies, not the machine: what was written is seen, and not synced by anybody yet."""
        self.dead = False
        self.cut_at = None

    def power_up(self, survival: float) -> None:
        """After a cut: each sector that was not synced is there with that probability, in no order."""
        for file, offset, sector in self.unsynced:
            durable = self.durable[file]
            grown = self.random.random() < 0.5  # the new size is there, the bytes are not
            if grown and len(durable) < offset + len(sector):
                durable.extend(bytes(offset + len(sector) - len(durable)))
            if self.random.random() < survival:
                if len(durable) < offset + len(sector):
                    durable.extend(bytes(offset + len(sector) - len(durable)))
                durable[offset : offset + len(sector)] = sector
        self.seen = [bytearray(content) for content in self.durable]
        self.unsynced = []
        self.dead = False
        self.cut_at = None


@implementer(IStorage)
class LossyStorage:
    def __init__(self, disk: LossyDisk) -> None:
        self._disk = disk
        self._geometry = disk.info.geometry
        self._dirty: set[int] = set()

    def prepare(self, skipped: frozenset[int] = frozenset()) -> None:
        if not self._disk.operate():
            raise PowerCut
        self._disk.made = True

    def read_into(self, index: int, begin: int, view: memoryview) -> None:
        if not self._disk.operate():
            raise PowerCut
        at = 0
        for span in self._geometry.spans(index, begin, len(view)):
            part = bytes(self._disk.seen[span.file][span.offset : span.offset + span.length])
            if len(part) < span.length:
                raise MissingData("share", "too short")
            view[at : at + span.length] = part
            at += span.length

    def write(self, index: int, begin: int, view: memoryview) -> None:
        whole = self._disk.operate()
        at = 0
        for span in self._geometry.spans(index, begin, len(view)):
            part = bytes(view[at : at + span.length])
            at += span.length
            if not whole:
                part = part[: self._disk.random.randrange(len(part) + 1)]
            self._dirty.add(span.file)
            self._disk.write(span.file, span.offset, part)
        if not whole:
            raise PowerCut

    def sync(self, everything: bool = False) -> None:
        if not self._disk.operate():
            raise PowerCut
        self._disk.sync(set(range(len(self._disk.seen))) if everything else self._dirty)
        self._dirty = set()

    def stamps(self) -> tuple[FileStamp | None, ...]:
        if not self._disk.made:
            return (None,) * len(self._disk.seen)
        return tuple(
            FileStamp(len(content), self._disk.mtime, file + 1, 1)
            for file, content in enumerate(self._disk.seen)
        )

    def part_stamp(self) -> FileStamp | None:
        return None

    def rename(self, file: int, path: PurePosixPath) -> None:
        raise NotImplementedError

    def take_over(self, folder: Path, paths: Sequence[PurePosixPath]) -> Iterator[int]:
        raise NotImplementedError

    def forget(self) -> None:
        pass

    def place(self) -> Place | None:
        return Place(1, 1)

    def holes(self, index: int) -> bool:
        size = self._geometry.piece_size(index)
        return all(
            span.offset >= len(self._disk.seen[span.file]) for span in self._geometry.spans(index, 0, size)
        )

    def occupied(self) -> bool:
        return any(self._disk.seen)

    def close(self) -> None:
        pass


class LossyFile:
    """The journal's file on that disk. What returned is durable; what was cut is there in part or as junk."""

    def __init__(self, disk: LossyDisk) -> None:
        self._disk = disk

    def load(self) -> bytes | None:
        return self._disk.journal

    def replace(self, content: bytes) -> None:
        whole = self._disk.operate()
        if whole or self._disk.random.random() < 0.5:  # the rename happened, or it did not
            self._disk.journal = content
        if not whole:
            raise PowerCut

    def append(self, offset: int, content: bytes) -> None:
        whole = self._disk.operate()
        assert self._disk.journal is not None
        if not whole:
            cut = self._disk.random.randrange(len(content) + 1)
            junk = (
                self._disk.random.randbytes(len(content) - cut) if self._disk.random.random() < 0.5 else b""
            )
            content = content[:cut] + junk
        self._disk.journal = self._disk.journal[:offset] + content
        if not whole:
            raise PowerCut

    def set_aside(self) -> None:
        self._disk.journal = None

    def remove(self) -> None:
        self._disk.journal = None
