"""Small torrents for tests: content by a rule, hashed here."""

import hashlib

from bittwist.metainfo import bencode
from bittwist.metainfo.metainfo import Metainfo


def content(size, seed=b"bittwist"):
    """`size` bytes that differ everywhere, so that a block in the wrong place shows."""
    blocks = -(-size // 32)
    return b"".join(hashlib.sha256(seed + i.to_bytes(8, "big")).digest() for i in range(blocks))[:size]


def torrent(data, piece_length=16384, name="data.bin", files=None, trackers=(), **extra):
    """A metainfo of `data`; `files` is [(path components, size)] for a folder."""
    pieces = b"".join(
        hashlib.sha1(data[at : at + piece_length]).digest() for at in range(0, len(data), piece_length)
    )
    info = {"name": name, "piece length": piece_length, "pieces": pieces, **extra}
    if files is None:
        info["length"] = len(data)
    else:
        info["files"] = [{"path": list(path), "length": size} for path, size in files]
    top = {"info": info}
    if trackers:
        top["announce"] = trackers[0]
        top["announce-list"] = [[url] for url in trackers]
    return Metainfo.parse(bencode.encode(top))
