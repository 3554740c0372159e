"""The merkle trees of v2 files: SHA-256 over 16 KiB blocks (BEP 52, "pieces root" and "piece layers")."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from hashlib import sha256

from bittwist.errors import MetainfoError
from bittwist.metainfo.geometry import BLOCK

HASH = 32


@cache
def zero_root(height: int) -> bytes:
    """The root of a tree of 2^height leaves that are all beyond the end of the file."""
    if not height:
        return bytes(HASH)
    below = zero_root(height - 1)
    return sha256(below + below).digest()


def block_hashes(chunk: bytes | memoryview) -> list[bytes]:
    """The leaves for the bytes of a file (from a block's start; the last block may be short)."""
    view = memoryview(chunk)
    return [sha256(view[at : at + BLOCK]).digest() for at in range(0, len(view), BLOCK)]


def layer_above(hashes: Sequence[bytes], padding: bytes) -> list[bytes]:
    """The hashes of pairs; an odd one out is paired with `padding`."""
    paired = [*hashes, padding] if len(hashes) % 2 else hashes
    return [sha256(paired[at] + paired[at + 1]).digest() for at in range(0, len(paired), 2)]


def root(hashes: Sequence[bytes], height: int = 0) -> bytes:
    """The root above one layer of a tree; `height` is the layer's own, 0 for the leaves."""
    if not hashes:
        raise ValueError("a tree has at least one leaf")
    while len(hashes) > 1:
        hashes = layer_above(hashes, zero_root(height))
        height += 1
    return hashes[0]


def piece_layer(leaves: Sequence[bytes], piece_length: int) -> list[bytes]:
    """The layer in which one hash covers one piece, without those that lie beyond the end of the file."""
    for height in range(piece_height(piece_length)):
        leaves = layer_above(leaves, zero_root(height))
    return list(leaves)


def piece_height(piece_length: int) -> int:
    """How many layers above the leaves the piece layer lies."""
    return (piece_length // BLOCK).bit_length() - 1


def proves(
    hashes: Sequence[bytes], uncles: Iterable[bytes], *, height: int, index: int, pieces_root: bytes
) -> bool:
    """Whether a run of hashes, beginning at `index` of the layer at `height`, lies under the root.

    `hashes` is a power of two of them, aligned; `uncles` go from the lowest layer up (BEP 52,
    "hash request").
    """
    node = root(hashes, height)
    place = index // len(hashes)
    for uncle in uncles:
        node = sha256(uncle + node if place & 1 else node + uncle).digest()
        place >>= 1
    return place == 0 and node == pieces_root


def check_layer(layer: bytes, *, size: int, piece_length: int, pieces_root: bytes) -> None:
    """MetainfoError unless `layer` is the piece layer of a file of `size` bytes with that root."""
    if len(layer) != HASH * -(-size // piece_length):
        raise MetainfoError("a piece layer has the wrong length")
    hashes = [layer[at : at + HASH] for at in range(0, len(layer), HASH)]
    if root(hashes, piece_height(piece_length)) != pieces_root:
        raise MetainfoError("a piece layer does not match its pieces root")
