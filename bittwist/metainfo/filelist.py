"""The file list of a v1 info dictionary and the file tree of a v2 one, read and compared (BEP 3, 47, 52)."""

from __future__ import annotations

from collections.abc import Sequence

from bittwist.errors import MetainfoError
from bittwist.metainfo.bencode import Value
from bittwist.metainfo.files import FileEntry
from bittwist.metainfo.names import MAX_PATH_DEPTH

MAX_TOTAL_SIZE = 1 << 62  # sums stay far below what a signed 64-bit file offset holds
_KNOWN_ATTRIBUTES = frozenset("lxhp")

Dictionary = dict[bytes, Value]


def text(value: bytes) -> str:
    """Human-readable text: UTF-8, what is not shows as U+FFFD."""
    return value.decode(errors="replace")


def read_v1(info: Dictionary) -> tuple[bool, tuple[FileEntry, ...]]:
    """Whether it is a single-file torrent, and its files; MetainfoError if the list is not valid."""
    listed = info.get(b"files")
    if listed is None:
        return True, (_entry(info, ()),)
    if b"length" in info:
        raise MetainfoError("both length and files are given")
    if not isinstance(listed, list) or not listed:
        raise MetainfoError("files is not a list of files")
    files = []
    total = 0
    for item in listed:
        if not isinstance(item, dict):
            raise MetainfoError("a file is not a dictionary")
        entry = _entry(item, None)
        total += entry.size
        if total > MAX_TOTAL_SIZE:
            raise MetainfoError("the files are larger than 2^62 bytes together")
        files.append(entry)
    return False, tuple(files)


def read_v2(tree: Value | None) -> tuple[FileEntry, ...]:
    """The files of a file tree, in its order; MetainfoError if the tree is not valid."""
    if not isinstance(tree, dict) or not tree:
        raise MetainfoError("file tree is not a dictionary of files")
    files: list[FileEntry] = []
    total = 0
    pending: list[tuple[tuple[str, ...], Value]] = [((), tree)]
    while pending:
        path, node = pending.pop()
        if not isinstance(node, dict):
            raise MetainfoError("a node of the file tree is not a dictionary")
        if b"" not in node:
            if not node and path:
                raise MetainfoError("a folder of the file tree is empty")
            if len(path) >= MAX_PATH_DEPTH:
                raise MetainfoError(f"a path has more than {MAX_PATH_DEPTH} parts")
            pending.extend(((*path, text(name)), node[name]) for name in sorted(node, reverse=True))
            continue
        properties = node[b""]
        if len(node) != 1 or not path or not isinstance(properties, dict):
            raise MetainfoError("a node of the file tree is both a file and a folder")
        files.append(_with_root(_entry(properties, path), properties))
        total += files[-1].size
        if total > MAX_TOTAL_SIZE:
            raise MetainfoError("the files are larger than 2^62 bytes together")
    return tuple(files)


def same_files(
    v1: Sequence[FileEntry], v2: Sequence[FileEntry], *, name: str, single: bool, piece_length: int
) -> tuple[FileEntry, ...]:
    """The v1 list of a hybrid with the v2 roots filled in.

    MetainfoError unless both list the same files (padding aside) and each v1 file begins a piece: otherwise
    the same torrent would be two, depending on who looks (BEP 52, "upgrade path").
    """
    merged = []
    at = 0
    others = iter(v2)
    for entry in v1:
        if not entry.is_pad:
            other = next(others, None)
            path = (name,) if single else entry.path
            if other is None or other.path != path or other.size != entry.size:
                raise MetainfoError("the v1 and v2 parts of the torrent list different files")
            if entry.size and at % piece_length:
                raise MetainfoError("a file of a hybrid torrent does not begin a piece")
            entry = _rooted(entry, other.pieces_root)
        at += entry.size
        merged.append(entry)
    if next(others, None) is not None:
        raise MetainfoError("the v1 and v2 parts of the torrent list different files")
    return tuple(merged)


def _entry(item: Dictionary, path: tuple[str, ...] | None) -> FileEntry:
    """A file from its dictionary, whose own path list is read where none is given."""
    attr = ""
    if b"attr" in item:
        value = item[b"attr"]
        if isinstance(value, bytes):
            attr = "".join(letter for letter in text(value) if letter in _KNOWN_ATTRIBUTES)
    size = item.get(b"length", 0 if "l" in attr else None)
    if not isinstance(size, int) or not 0 <= size <= MAX_TOTAL_SIZE:
        raise MetainfoError("a file's length is not a number from 0 to 2^62")
    symlink = None
    if "l" in attr:
        if size:
            raise MetainfoError("a symbolic link has a length")
        symlink = _path(item.get(b"symlink path", []), empty=True)
    if path is None:
        path = _listed_path(item, size, attr)
    mtime = item.get(b"mtime")
    return FileEntry(path, size, attr, symlink, None, mtime if isinstance(mtime, int) else None)


def _listed_path(item: Dictionary, size: int, attr: str) -> tuple[str, ...]:
    listed = item.get(b"path.utf-8")
    if listed is None:
        listed = item.get(b"path")
    if listed is None and "p" in attr:
        return (".pad", str(size))  # the path of padding may be left out (BEP 47)
    return _path(listed)


def _path(listed: Value | None, empty: bool = False) -> tuple[str, ...]:
    if not isinstance(listed, list) or not (listed or empty):
        raise MetainfoError("a file's path is not a list of names")
    if len(listed) > MAX_PATH_DEPTH:
        raise MetainfoError(f"a path has more than {MAX_PATH_DEPTH} parts")
    path = []
    for name in listed:
        if not isinstance(name, bytes):
            raise MetainfoError("a file's path is not a list of names")
        path.append(name.decode(errors="replace"))
    return tuple(path)


def _with_root(entry: FileEntry, properties: Dictionary) -> FileEntry:
    if entry.is_pad:
        raise MetainfoError("a file tree holds padding")
    root = properties.get(b"pieces root")
    if entry.size == 0:
        return entry
    if not isinstance(root, bytes) or len(root) != 32:
        raise MetainfoError("the pieces root of a file is not 32 bytes long")
    return _rooted(entry, root)


def _rooted(entry: FileEntry, root: bytes | None) -> FileEntry:
    return FileEntry(entry.path, entry.size, entry.attr, entry.symlink, root, entry.mtime)
