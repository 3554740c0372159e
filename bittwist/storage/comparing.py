"""Comparing files with a torrent, file by file (BEP 3). Blocks; knows no reactor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from threading import local

from bittwist.errors import StorageError
from bittwist.metainfo.bitfield import Bitfield
from bittwist.metainfo.info import Info
from bittwist.metainfo.metainfo import Metainfo
from bittwist.storage.files import FileStorage
from bittwist.storage.interfaces import FileStamp
from bittwist.storage.locate import locate
from bittwist.storage.spread import cores, spread
from bittwist.storage.verifier import is_good

PART = 1 << 20  # bytes read at once, a thread
BATCH = 8 << 20  # bytes of neighbouring pieces that one thread does in a row

Progress = Callable[[int, int], None]  # bytes looked at so far, and of how many


class Verdict(Enum):
    """What is known of one file. Pieces run on over the ends of files, so a neighbour may leave it open."""

    GOOD = "good"
    MISSING = "missing"
    WRONG_SIZE = "wrong size"
    DAMAGED = "damaged"
    UNKNOWN = "unknown"  # only pieces that it shares with bad or missing neighbours are bad
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class FileResult:
    """`bad_pieces` of its `pieces` are not right; `path` is where it was looked for."""

    path: Path
    size: int
    verdict: Verdict
    pieces: int
    bad_pieces: int
    reason: str = ""

    @property
    def good(self) -> bool:
        return self.verdict is Verdict.GOOD


def verify(
    metainfo: Metainfo,
    path: Path,
    *,
    threads: int | None = None,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> list[FileResult]:
    """Hash what is at `path` (see `locate`); one result for each real file, in the torrent's order.

    `progress` and `cancelled` as in hashing.hash_tree.
    """
    comparison = _Comparison(metainfo.info, path)
    look = (lambda: progress(comparison.done, metainfo.info.total_size)) if progress is not None else None
    try:
        spread(comparison.runs(), comparison.hash, threads=threads or cores(), look=look, cancelled=cancelled)
        return comparison.results()
    finally:
        comparison.storage.close()


class _Comparison:
    """What the threads find; each adds to it under the interpreter's own lock, piece by piece."""

    def __init__(self, info: Info, path: Path) -> None:
        located = locate(info, path)
        self._info = info
        self._located = located
        self.storage = FileStorage(located.root, info, paths=located.paths)
        self._stamps = self.storage.stamps()
        self._good: list[int] = []
        self._errors: dict[str, str] = {}
        self._looked_at: list[int] = []
        self._own = local()

    @property
    def done(self) -> int:
        """Bytes looked at so far."""
        return min(len(self._looked_at) * self._info.piece_length, self._info.total_size)

    def runs(self) -> list[range]:
        count = self._info.geometry.num_pieces
        step = max(1, BATCH // self._info.piece_length)
        return [range(start, min(start + step, count)) for start in range(0, count, step)]

    def hash(self, run: range) -> None:
        buffer = getattr(self._own, "buffer", None)
        if buffer is None:
            buffer = self._own.buffer = memoryview(bytearray(PART))
        for index in run:
            try:
                if is_good(self.storage, self._info, index, buffer):
                    self._good.append(index)
            except StorageError as error:
                self._errors[error.path] = error.reason
            self._looked_at.append(index)

    def results(self) -> list[FileResult]:
        good = Bitfield(self._info.geometry.num_pieces)
        for index in self._good:
            good.add(index)
        return [
            self._result(file, good)
            for file, entry in enumerate(self._info.files)
            if not entry.is_pad and not entry.is_symlink
        ]

    def _result(self, file: int, good: Bitfield) -> FileResult:
        path = self._located.root / self._located.paths[file]
        size = self._info.geometry.file_sizes[file]
        pieces = self._info.geometry.pieces_of_file(file)
        bad = [index for index in pieces if index not in good]
        reason = self._reason(path)
        verdict = self._verdict(file, self._stamps[file], bad, reason)
        return FileResult(path, size, verdict, len(pieces), len(bad), reason)

    def _reason(self, path: Path) -> str:
        """Why a file could not be read; or a folder on the way to it, which is named then."""
        for place in (path, *path.parents):
            if (reason := self._errors.get(str(place))) is not None:
                return reason if place == path else f"{place} {reason}"
        return ""

    def _verdict(self, file: int, stamp: FileStamp | None, bad: list[int], reason: str) -> Verdict:
        if reason:
            return Verdict.UNREADABLE
        if stamp is None:
            return Verdict.MISSING
        if stamp.size != self._info.geometry.file_sizes[file]:
            return Verdict.WRONG_SIZE
        if not bad:
            return Verdict.GOOD
        return Verdict.DAMAGED if any(self._is_alone_in(file, index) for index in bad) else Verdict.UNKNOWN

    def _is_alone_in(self, file: int, index: int) -> bool:
        """Whether the piece's fault can only be this file's: all else in it is padding."""
        spans = self._info.geometry.spans(index, 0, self._info.geometry.piece_size(index))
        return all(span.file == file or self._info.files[span.file].is_pad for span in spans)
