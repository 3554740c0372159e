"""The journal of one torrent: which pieces are safely on disk (one file, no database).

A header, then records, each with its length and a CRC; what follows the first record that does not hold is
dropped. It begins with what was known when the torrent was started, goes on with the pieces that have become
durable since, and ends, after a clean stop, with what the files looked like.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from zlib import crc32

from bittwist.errors import LocalProtocolError, MetainfoError
from bittwist.metainfo.bitfield import Bitfield
from bittwist.metainfo.info import Info
from bittwist.storage.interfaces import FileStamp, Place
from bittwist.storage.statefile import StateFile

MAGIC = b"bittwist journal 1\n"
SLACK = 64 << 10  # bytes of records, beyond four for each piece, after which the journal is written anew

_HEAD = struct.Struct(">cI")  # kind, length of the payload; a CRC-32 of both follows the payload
_CRC = struct.Struct(">I")
_PLACE = struct.Struct(">QQ")
_STAMP = struct.Struct(">?QqQQ")  # is there, size, mtime, inode, device
_NO_STAMP = _STAMP.pack(False, 0, 0, 0, 0)

_TORRENT = b"T"  # the info hash
_BEGUN = b"B"  # place, stamps
_HAVE = b"H"  # bitfield
_KEPT = b"K"  # piece indices
_LOST = b"L"  # piece indices
_STOPPED = b"S"  # stamps


@dataclass(frozen=True, slots=True)
class Journaled:
    """What a journal says. `stopped` has the stamps of a clean stop, and is None where there was none.

    Stamps are those of the files, in their order, and that of the part file behind them.
    """

    have: Bitfield
    place: Place
    begun: tuple[FileStamp | None, ...]
    stopped: tuple[FileStamp | None, ...] | None


class KeptFile(Protocol):
    """A small file that is replaced whole or appended to, durably (StateFile, or a test's)."""

    def load(self) -> bytes | None: ...
    def replace(self, content: bytes) -> None: ...
    def append(self, offset: int, content: bytes) -> None: ...
    def set_aside(self) -> None: ...
    def remove(self) -> None: ...


class Journal:
    """Reads and writes the journal at `path`. Blocks; raises StorageError and DiskFull; used in disk threads.

    After a failed write the journal on disk still says what it said before.
    """

    def __init__(self, path: Path, *, file: KeptFile | None = None) -> None:
        self.path = path
        self._file: KeptFile = file if file is not None else StateFile(path)
        self._end: int | None = None  # where the next record goes; None before `begin`
        self._base = 0  # where it ended when it was last written anew
        self._info: Info | None = None
        self._stopped = False

    def read(self, info: Info) -> Journaled | None:
        """What is known of this torrent; None where nothing is. An unreadable journal is set aside."""
        content = self._file.load()
        if content is None:
            return None
        journaled = _read(content, info)
        if journaled is None:
            self._file.set_aside()
        return journaled

    def begin(self, info: Info, have: Bitfield, place: Place, stamps: Sequence[FileStamp | None]) -> None:
        """Write the journal anew: what is durably there now, in which files of which folder."""
        content = b"".join(
            (
                MAGIC,
                _record(_TORRENT, _identity(info)),
                _record(_BEGUN, _PLACE.pack(place.device, place.inode) + _stamps(stamps)),
                _record(_HAVE, have.to_bytes()),
            )
        )
        self._file.replace(content)
        self._info = info
        self._end = self._base = len(content)
        self._stopped = False

    def remark(self, place: Place, stamps: Sequence[FileStamp | None]) -> None:
        """Add that there are other files than at the beginning: those made since count as the others do."""
        self._append(_record(_BEGUN, _PLACE.pack(place.device, place.inode) + _stamps(stamps)))

    def append(self, kept: Iterable[int] = (), lost: Iterable[int] = ()) -> None:
        """Add pieces that are durably on disk now, and pieces that are no longer right."""
        self._append(_record(_LOST, _indices(lost)) + _record(_KEPT, _indices(kept)))
        self._shorten()

    def stop(self, stamps: Sequence[FileStamp | None]) -> None:
        """Add what the files look like after the last write: the clean stop."""
        self._append(_record(_STOPPED, _stamps(stamps)))
        self._stopped = True

    def remove(self) -> None:
        """Delete it: the torrent is gone or complete."""
        self._file.remove()
        self._end = None

    def _shorten(self) -> None:
        """Write it anew, saying the same, when pieces have come and gone so often that it is long."""
        if self._info is None or self._end is None:
            return
        if self._end - self._base <= SLACK + 4 * self._info.geometry.num_pieces:
            return
        journaled = self.read(self._info)
        if journaled is not None:
            self.begin(self._info, journaled.have, journaled.place, journaled.begun)

    def _append(self, content: bytes) -> None:
        if self._end is None or self._stopped:
            raise LocalProtocolError(
                "a journal is begun before it is written to, and not written after a stop"
            )
        self._file.append(self._end, content)
        self._end += len(content)


def _identity(info: Info) -> bytes:
    return info.info_hash.short


def _record(kind: bytes, payload: bytes) -> bytes:
    if not payload:
        return b""
    content = _HEAD.pack(kind, len(payload)) + payload
    return content + _CRC.pack(crc32(content))


def _records(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The records that hold, up to the first that does not."""
    at = len(MAGIC)
    while at + _HEAD.size <= len(content):
        kind, length = _HEAD.unpack_from(content, at)
        end = at + _HEAD.size + length
        if end + _CRC.size > len(content) or _CRC.unpack_from(content, end)[0] != crc32(content[at:end]):
            return
        yield kind, content[at + _HEAD.size : end]
        at = end + _CRC.size


def _read(content: bytes, info: Info) -> Journaled | None:
    """None where it is not a journal of this torrent. Its content is not trusted (SECURITY.md F4)."""
    if not content.startswith(MAGIC):
        return None
    num_pieces = info.geometry.num_pieces
    have = Bitfield(num_pieces)
    known = False
    place = begun = stopped = None
    try:
        for kind, payload in _records(content):
            stopped = None  # a clean stop is the last word or none
            if kind == _TORRENT:
                known = payload == _identity(info)
            elif kind == _BEGUN:
                place = Place(*_PLACE.unpack_from(payload))
                begun = _unstamp(payload[_PLACE.size :], len(info.files))
            elif kind == _HAVE:
                have = Bitfield.from_bytes(payload, num_pieces)
            elif kind == _KEPT:
                for index in _unpack_indices(payload):
                    have.add(index)
            elif kind == _LOST:
                for index in _unpack_indices(payload):
                    have.discard(index)
            elif kind == _STOPPED:
                stopped = _unstamp(payload, len(info.files))
    except (struct.error, MetainfoError, IndexError, ValueError):
        return None
    if not known or place is None or begun is None:
        return None
    return Journaled(have, place, begun, stopped)


def _indices(indices: Iterable[int]) -> bytes:
    listed = list(indices)
    return struct.pack(f">{len(listed)}I", *listed)


def _unpack_indices(payload: bytes) -> tuple[int, ...]:
    return struct.unpack(f">{len(payload) // 4}I", payload)


def _stamps(stamps: Sequence[FileStamp | None]) -> bytes:
    return b"".join(
        _STAMP.pack(True, stamp.size, stamp.mtime_ns, stamp.inode, stamp.device) if stamp else _NO_STAMP
        for stamp in stamps
    )


def _unstamp(payload: bytes, count: int) -> tuple[FileStamp | None, ...]:
    """Of `count` files and the part file, which journals of earlier versions do not know."""
    if len(payload) not in (count * _STAMP.size, (count + 1) * _STAMP.size):
        raise ValueError("not one stamp for each file")
    stamps = [FileStamp(*values) if there else None for there, *values in _STAMP.iter_unpack(payload)]
    return (*stamps, None)[: count + 1]
