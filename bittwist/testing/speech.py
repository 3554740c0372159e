"""Peer messages as bare bytes, right or wrong, for peers that are to misbehave (BEP 3, 6, 10).

Written apart from `bittwist.wire` on purpose: a fault there is not repeated here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import IntEnum
from struct import calcsize, iter_unpack, pack

PROTOCOL = b"\x13BitTorrent protocol"
HANDSHAKE_LENGTH = 68

FAST = bytes((0, 0, 0, 0, 0, 0, 0, 0x04))
EXTENDED = bytes((0, 0, 0, 0, 0, 0x10, 0, 0))


class Id(IntEnum):
    """The identifiers of messages."""

    CHOKE = 0
    UNCHOKE = 1
    INTERESTED = 2
    NOT_INTERESTED = 3
    HAVE = 4
    BITFIELD = 5
    REQUEST = 6
    PIECE = 7
    CANCEL = 8
    PORT = 9
    SUGGEST = 13
    HAVE_ALL = 14
    HAVE_NONE = 15
    REJECT = 16
    ALLOWED_FAST = 17
    EXTENDED = 20


@dataclass(frozen=True, slots=True)
class Frame:
    """A message as it came: None is the identifier of a keep-alive."""

    identifier: int | None
    payload: bytes

    @property
    def numbers(self) -> tuple[int, ...]:
        """The payload as four-byte numbers; what is left of it at the end is not shown."""
        whole = len(self.payload) - len(self.payload) % calcsize(">I")
        return tuple(number for (number,) in iter_unpack(">I", self.payload[:whole]))


def handshake(info_hash: bytes, peer_id: bytes, reserved: bytes = bytes(8)) -> bytes:
    return PROTOCOL + reserved + info_hash + peer_id


def message(identifier: int | None, payload: bytes = b"", *, length: int | None = None) -> bytes:
    """A message; `length` is what its prefix claims where that is not the truth."""
    body = b"" if identifier is None else bytes((identifier,)) + payload
    return pack(">I", len(body) if length is None else length) + body


KEEP_ALIVE = message(None)


def numbered(identifier: int, *numbers: int) -> bytes:
    """A message of four-byte numbers: Have, Request, Cancel and their like."""
    return message(identifier, pack(f">{len(numbers)}I", *numbers))


def bitfield(indices: Iterable[int], num_pieces: int) -> bytes:
    """The bitfield of a peer that has these pieces."""
    bits = bytearray((num_pieces + 7) // 8)
    for index in indices:
        bits[index // 8] |= 0x80 >> index % 8
    return message(Id.BITFIELD, bytes(bits))


def piece(index: int, begin: int, block: bytes) -> bytes:
    return message(Id.PIECE, pack(">II", index, begin) + block)


def frames(received: bytearray) -> list[Frame]:
    """Take the whole messages off the front of what was received."""
    found = []
    while len(received) >= 4:
        end = 4 + int.from_bytes(received[:4], "big")
        if len(received) < end:
            break
        found.append(Frame(received[4] if end > 4 else None, bytes(received[5:end])))
        del received[:end]
    return found


# How a peer answers a request for (index, begin, length): a block, or None for silence.
Answer = Callable[[int, int, int], bytes | None]


def honest(content: bytes, piece_length: int) -> Answer:
    """What the torrent's content has there."""

    def answer(index: int, begin: int, length: int) -> bytes:
        start = index * piece_length + begin
        return content[start : start + length]

    return answer


def corrupting(answer: Answer, *, every: int) -> Answer:
    """One block in so many has a wrong byte; the last of each `every` it is."""
    count = 0

    def wrong(index: int, begin: int, length: int) -> bytes | None:
        nonlocal count
        block = answer(index, begin, length)
        if not block:
            return block
        count += 1
        return block if count % every else bytes((block[0] ^ 0xFF,)) + block[1:]

    return wrong


def silent_after(answer: Answer, blocks: int) -> Answer:
    """So many blocks, then nothing more."""
    left = blocks

    def some(index: int, begin: int, length: int) -> bytes | None:
        nonlocal left
        left -= 1
        return answer(index, begin, length) if left >= 0 else None

    return some
