"""The file a tracker's swarms are kept in while it is not running. It blocks: for threads, and for the start.

A header, a frame of terms, frames of peers, and an empty frame at the end. The header says when, by the wall
clock, the stamps began to count. The terms say for how long those are waited for who were told an interval
that is told no longer (tracker.patience); a file of version 1 has none. Each frame has its length and a
CRC-32 before it. One of peers holds some portions of swarms: info hash, downloads, and the packed addresses,
ids and stamps of the peers. All numbers are little-endian.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from struct import Struct
from typing import BinaryIO
from zlib import crc32

from bittwist.errors import StorageError
from bittwist.tracker.files import named, replace_file
from bittwist.tracker.patience import Term
from bittwist.tracker.peers import ID, PeerColumns
from bittwist.tracker.settings import LONGEST_TERM
from bittwist.tracker.swarm import SECOND, Portion

MAGIC = b"bittwist swarms\n"
VERSION = 2
MAX_FRAME = 8 << 20  # bytes; a step of the store comes to less than two of them
HEADER = Struct("<16sBqI")  # magic, version, microseconds since the epoch when the stamps were 0, CRC-32
FRAME = Struct("<II")  # bytes that follow, their CRC-32
PORTION = Struct(
    "<20sQIIIB"
)  # info hash, downloads, peers, of these seeds and partial seeds, bytes of an address
TERM = Struct("<dq")  # seconds of silence, and the stamp until which they are borne
STAMP = 8  # bytes
UNREADABLE = ".unreadable"


class BadSnapshot(Exception):
    """The file is not as it was written; the argument says where it is not."""


def write(path: Path, steps: Iterable[list[Portion]], zero_at: int, terms: Sequence[Term] = ()) -> None:
    """Put this in the place of the file there was; StorageError leaves that one.

    `zero_at` is what the wall clock said when the store's clock was 0, in microseconds.
    """
    replace_file(path, _encode(steps, zero_at, terms))


def read(path: Path, zero_at: int) -> Iterator[Term | Portion]:
    """Terms, then portions in the file, their times on the clock that was 0 at `zero_at` of the wall clock.

    BadSnapshot at the first thing that is wrong, after the portions before it; FileNotFoundError or
    StorageError where there is nothing to read. One frame at a time is in memory, however long the file.
    """
    try:
        stream = path.open("rb")
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StorageError(str(path), error.strerror or str(error)) from error
    with stream, named(path):
        version, written = _header(stream)
        later = written - zero_at
        if version > 1:
            yield from _terms(_frame(stream), later)
        while frame := _frame(stream):
            yield from _portions(frame, later)
        if stream.read(1):
            raise BadSnapshot("there is more after its end")


def set_aside(path: Path) -> Path:
    """Out of the way, but not lost to whoever wants to look at it; where it is now."""
    aside = path.with_name(path.name + UNREADABLE)
    with named(path):
        path.replace(aside)
    return aside


def _encode(steps: Iterable[list[Portion]], zero_at: int, terms: Sequence[Term]) -> Iterator[bytes]:
    start = HEADER.pack(MAGIC, VERSION, zero_at, 0)[:-4]
    yield start + crc32(start).to_bytes(4, "little")
    yield from _framed(b"".join(TERM.pack(term.seconds, int(term.until * SECOND)) for term in terms))
    for step in steps:
        yield from _framed(b"".join(piece for portion in step for piece in _pieces(portion)))
    yield from _framed(b"")


def _framed(frame: bytes) -> tuple[bytes, bytes]:
    return FRAME.pack(len(frame), crc32(frame)), frame


def _pieces(portion: Portion) -> tuple[bytes, ...]:
    peers = portion.peers
    width = len(peers.addresses) // len(peers)
    head = PORTION.pack(portion.info_hash, portion.downloaded, len(peers), peers.seeds, peers.partials, width)
    return head, peers.addresses, peers.ids, _little(peers.stamps).tobytes()


def _header(stream: BinaryIO) -> tuple[int, int]:
    """The version, and when the stamps were 0."""
    head = stream.read(HEADER.size)
    if len(head) < HEADER.size:
        raise BadSnapshot("it has no header")
    magic, version, zero_at, checksum = HEADER.unpack(head)
    if magic != MAGIC:
        raise BadSnapshot("it is no snapshot of swarms")
    if not 1 <= version <= VERSION:
        raise BadSnapshot(f"it is of version {version}; this program knows 1 to {VERSION}")
    if checksum != crc32(head[:-4]):
        raise BadSnapshot("its header is damaged")
    return int(version), int(zero_at)


def _frame(stream: BinaryIO) -> bytes:
    """The next frame; nothing at the end."""
    at = stream.tell()
    head = stream.read(FRAME.size)
    if len(head) < FRAME.size:
        raise BadSnapshot(f"it ends early, at byte {at}")
    length, checksum = FRAME.unpack(head)
    if length > MAX_FRAME:
        raise BadSnapshot(f"it has a frame of {length} bytes at byte {at}")
    frame = stream.read(length)
    if len(frame) < length:
        raise BadSnapshot(f"it ends early, in the frame at byte {at}")
    if crc32(frame) != checksum:
        raise BadSnapshot(f"its frame at byte {at} is damaged")
    return frame


def _terms(frame: bytes, later: int) -> Iterator[Term]:
    if len(frame) % TERM.size:
        raise BadSnapshot("a term is cut off")
    for seconds, until in TERM.iter_unpack(frame):
        if not 0 <= seconds <= LONGEST_TERM:
            raise BadSnapshot("a term makes no sense")
        yield Term(seconds, (until + later) / SECOND)


def _portions(frame: bytes, later: int) -> Iterator[Portion]:
    at = 0
    while at < len(frame):
        if len(frame) - at < PORTION.size:
            raise BadSnapshot("a portion is cut off")
        info_hash, downloaded, count, seeds, partials, width = PORTION.unpack_from(frame, at)
        at += PORTION.size
        if width not in (6, 18) or not count or seeds + partials > count:
            raise BadSnapshot("a portion makes no sense")
        ids = at + count * width
        stamps = ids + count * ID
        end = stamps + count * STAMP
        if end > len(frame):
            raise BadSnapshot("a portion is longer than its frame")
        seen = _little(array("q", frame[stamps:end]))
        moved = array("q", [_sane(stamp + later) for stamp in seen])
        peers = PeerColumns(frame[at:ids], frame[ids:stamps], moved, seeds, partials)
        yield Portion(info_hash, downloaded, peers)
        at = end


def _sane(stamp: int) -> int:
    """Within what the array holds; whoever is that old or that new is left out, or is new."""
    return max(-(2**63), min(2**63 - 1, stamp))


def _little(stamps: array[int]) -> array[int]:
    """The same numbers little-endian, or back."""
    if sys.byteorder == "big":
        stamps = stamps[:]
        stamps.byteswap()
    return stamps
