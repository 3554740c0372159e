"""Small torrents for the storage tests: made here, parsed by metainfo as any other."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha1
from random import Random

from bittwist.metainfo import bencode
from bittwist.metainfo.info import Info


def content_of(size: int, seed: int = 1) -> bytes:
    """Bytes that repeat nowhere."""
    return Random(seed).randbytes(size)


def make_info(
    content: bytes,
    files: Sequence[tuple[str, int] | tuple[str, int, str]] | None = None,
    *,
    piece_length: int = 32768,
    name: str = "share",
) -> Info:
    """A torrent over `content`: of one file, or of `files` (path, size and perhaps attr, in order)."""
    pieces = b"".join(
        sha1(content[at : at + piece_length]).digest() for at in range(0, len(content), piece_length)
    )
    info: dict[bytes, bencode.Value] = {
        b"name": name.encode(),
        b"piece length": piece_length,
        b"pieces": pieces,
    }
    if files is None:
        info[b"length"] = len(content)
    else:
        assert sum(file[1] for file in files) == len(content)
        info[b"files"] = [_entry(*file) for file in files]
    return Info.parse(bencode.encode(info))


def _entry(path: str, size: int, attr: str = "") -> dict[bytes, bencode.Value]:
    entry: dict[bytes, bencode.Value] = {
        b"length": size,
        b"path": [part.encode() for part in path.split("/")],
    }
    if attr:
        entry[b"attr"] = attr.encode()
    return entry


def pieces_of(info: Info, content: bytes) -> list[bytes]:
    length = info.piece_length
    return [content[at : at + length] for at in range(0, len(content), length)]
