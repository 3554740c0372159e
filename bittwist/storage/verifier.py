"""Is this the piece? (BEP 3, "pieces")"""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha1, sha256

from bittwist.metainfo.geometry import BLOCK, Geometry
from bittwist.metainfo.info import Info
from bittwist.storage.interfaces import IStorage, MissingData

Buffer = bytes | bytearray | memoryview


def verify_piece(info: Info, index: int, view: Buffer) -> bool:
    """Whether these bytes have the hash the torrent gives for the piece."""
    return sha1(view, usedforsecurity=False).digest() == info.piece_hash(index)


def block_digests(view: Buffer) -> tuple[bytes, ...]:
    """One digest for each block of a piece: what tells later which peer's block was the false one.

    SHA-256, because a peer under suspicion chooses the bytes.
    """
    whole = memoryview(view)
    return tuple(sha256(whole[begin : begin + BLOCK]).digest() for begin in range(0, len(whole), BLOCK))


def read_digest(storage: IStorage, geometry: Geometry, index: int, buffer: memoryview) -> bytes | None:
    """The SHA-1 of the piece as it is in storage, read through `buffer`; None where some of it is missing."""
    digest = sha1(usedforsecurity=False)
    size = geometry.piece_size(index)
    try:
        for begin in range(0, size, len(buffer)):
            part = buffer[: min(len(buffer), size - begin)]
            storage.read_into(index, begin, part)
            digest.update(part)
    except MissingData:
        return None
    return digest.digest()


def is_good(storage: IStorage, info: Info, index: int, buffer: memoryview) -> bool:
    """Whether the piece is in storage and right. Holes are not read, unless the piece is to be all zeros."""
    if storage.holes(index) and not _is_zeros(info, index):
        return False
    return read_digest(storage, info.geometry, index, buffer) == info.piece_hash(index)


def _is_zeros(info: Info, index: int) -> bool:
    return _zeros_digest(info.geometry.piece_size(index)) == info.piece_hash(index)


@lru_cache(maxsize=16)
def _zeros_digest(size: int) -> bytes:
    return sha1(bytes(size), usedforsecurity=False).digest()
