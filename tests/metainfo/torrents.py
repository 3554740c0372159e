"""Small valid torrents, for tests to use and to break."""

from hashlib import sha1

from bittwist.metainfo import merkle
from bittwist.metainfo.bencode import encode
from bittwist.metainfo.geometry import BLOCK


def content(size, seed=b""):
    return (sha1(seed + str(size).encode()).digest() * (size // 20 + 1))[:size]


def hashes(data, piece_length):
    return b"".join(sha1(data[at : at + piece_length]).digest() for at in range(0, len(data), piece_length))


def v1_single(**changes):
    info = {
        b"name": b"a.bin",
        b"length": 40000,
        b"piece length": BLOCK,
        b"pieces": hashes(content(40000), BLOCK),
    }
    return _changed(info, changes)


def v1_multi(files=((["x"], 20000), (["sub", "y"], 0), (["sub", "z"], 15000)), **changes):
    total = sum(size for _path, size in files)
    info = {
        b"name": b"folder",
        b"piece length": BLOCK,
        b"pieces": bytes(20 * -(-total // BLOCK)),
        b"files": [{b"length": size, b"path": path} for path, size in files],
    }
    return _changed(info, changes)


def v2(sizes=None, **changes):
    """An info dictionary and its piece layers."""
    sizes = {"a": 100, "big": 3 * BLOCK + 5, "empty": 0} if sizes is None else sizes
    tree, layers = {}, {}
    for name, size in sizes.items():
        leaf = {b"length": size}
        if size:
            leaves = merkle.block_hashes(content(size))
            leaf[b"pieces root"] = merkle.root(leaves)
            if size > BLOCK:
                layers[leaf[b"pieces root"]] = b"".join(merkle.piece_layer(leaves, BLOCK))
        tree[name.encode()] = {b"": leaf}
    info = {b"name": b"folder", b"piece length": BLOCK, b"meta version": 2, b"file tree": tree}
    return _changed(info, changes), layers


def hybrid(**changes):
    """An info dictionary with both lists, padded as BEP 52 asks, and its piece layers."""
    info, layers = v2()
    files = [
        {b"length": 100, b"path": [b"a"]},
        {b"length": BLOCK - 100, b"path": [b".pad", b"16284"], b"attr": b"p"},
        {b"length": 3 * BLOCK + 5, b"path": [b"big"]},
        {b"length": 0, b"path": [b"empty"]},
    ]
    return _changed({**info, b"files": files, b"pieces": bytes(20 * 5)}, changes), layers


def torrent(info, **around):
    """The .torrent around an info dictionary; `url_list` is url-list, other underscores are spaces."""
    return encode({b"info": info, **{_key(key): value for key, value in around.items()}})


def _changed(info, changes):
    """`piece_length=3` sets a key (underscores are spaces), None removes it."""
    for key, value in changes.items():
        name = _key(key)
        if value is None:
            info.pop(name, None)
        else:
            info[name] = value
    return info


def _key(name):
    return (
        name.replace("_", "-") if name in ("url_list", "announce_list") else name.replace("_", " ")
    ).encode()
