"""The info dictionary, v1, v2 and hybrid: the one validator, whatever the source (BEP 3, 27, 38, 52)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bittwist.errors import MetainfoError
from bittwist.metainfo.bencode import MAX_DEPTH, Value, decode_prefix
from bittwist.metainfo.filelist import Dictionary, read_v1, read_v2, same_files, text
from bittwist.metainfo.files import FileEntry
from bittwist.metainfo.geometry import BLOCK, Geometry
from bittwist.metainfo.infohash import InfoHash

MAX_PIECES = 2_097_152  # a bitfield of 256 KiB; the limit of the most used library
MAX_PIECE_LENGTH = 1 << 29  # a piece is held in memory while it is fetched
MAX_HINTS = 1000  # `similar` hashes and `collections` kept
MAX_INFO_DEPTH = MAX_DEPTH - 1  # as deep as inside a torrent, so that both get the same verdict


@dataclass(frozen=True, slots=True, eq=False)
class Info:
    """A validated info dictionary. Equal where the raw bytes are equal, for these make the torrent.

    Names are as found (see `files.safe_paths`). `files` has the v1 list where there is one, padding included,
    else the v2 one; `total_size` is their sum. `pieces` is empty for a v2-only torrent.
    """

    raw: bytes
    info_hash: InfoHash
    name: str
    piece_length: int
    num_pieces: int
    total_size: int
    files: tuple[FileEntry, ...]
    single_file: bool
    pieces: bytes
    private: bool
    source: str | None
    similar: tuple[bytes, ...]
    collections: tuple[str, ...]
    is_v1: bool
    is_v2: bool
    _geometry: Geometry | None

    @classmethod
    def parse(cls, raw: bytes | memoryview, strict: bool = False) -> Info:
        """Read and validate a bencoded info dictionary; MetainfoError if it is not valid.

        Lenient (unsorted keys, odd integers) unless `strict`; nothing may follow the dictionary either way.
        """
        raw = bytes(raw)
        value, end = decode_prefix(raw, strict, max_depth=MAX_INFO_DEPTH)
        if end != len(raw):
            raise MetainfoError("more bytes after the info dictionary")
        return cls.of(raw, value)

    @classmethod
    def of(cls, raw: bytes, value: Value) -> Info:
        """Validate `value`, which must be what `raw` decodes to (a torrent file is decoded only once)."""
        if not isinstance(value, dict):
            raise MetainfoError("info is not a dictionary")
        is_v2 = _is_v2(value)
        is_v1 = b"pieces" in value or not is_v2
        name = _name(value)
        piece_length = _piece_length(value, is_v2)
        files: tuple[FileEntry, ...]
        geometry = None
        pieces = b""
        if is_v1:
            single, files = read_v1(value)
            total = sum(entry.size for entry in files)
            pieces, num_pieces = _pieces(value, total, piece_length)
            geometry = Geometry(piece_length, total, tuple(entry.size for entry in files))
            if is_v2:
                tree = read_v2(value.get(b"file tree"))
                files = same_files(files, tree, name=name, single=single, piece_length=piece_length)
        else:
            files = read_v2(value.get(b"file tree"))
            single = len(files) == 1 and files[0].path == (name,)
            if single:
                files = (_at_root(files[0]),)
            total = sum(entry.size for entry in files)
            num_pieces = sum(-(-entry.size // piece_length) for entry in files)
            _check_count(num_pieces)
        return cls(
            raw=raw,
            info_hash=InfoHash.of(raw, v1=is_v1, v2=is_v2),
            name=name,
            piece_length=piece_length,
            num_pieces=num_pieces,
            total_size=total,
            files=files,
            single_file=single,
            pieces=pieces,
            private=_private(value.get(b"private", 0)),
            source=optional_text(value.get(b"source")),
            similar=similar_hashes(value.get(b"similar")),
            collections=collection_names(value.get(b"collections")),
            is_v1=is_v1,
            is_v2=is_v2,
            _geometry=geometry,
        )

    @property
    def is_hybrid(self) -> bool:
        return self.is_v1 and self.is_v2

    @property
    def geometry(self) -> Geometry:
        """The v1 arithmetic; MetainfoError for a torrent with only a v2 form."""
        if self._geometry is None:
            raise MetainfoError("the torrent has only a v2 form, and so no v1 pieces")
        return self._geometry

    def piece_hash(self, index: int) -> bytes:
        """The SHA-1 of a piece; IndexError if there is none."""
        if not 0 <= 20 * index < len(self.pieces):
            raise IndexError(index)
        return self.pieces[20 * index : 20 * index + 20]

    def __eq__(self, other: object) -> bool:
        return self.raw == other.raw if isinstance(other, Info) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.info_hash)


def optional_text(value: Value | None) -> str | None:
    """Text where there is some; other types are as good as nothing."""
    return text(value) if isinstance(value, bytes) else None


def similar_hashes(value: Value | None) -> tuple[bytes, ...]:
    """The well-formed info hashes of a `similar` list (BEP 38)."""
    return tuple(item for item in _items(value) if isinstance(item, bytes) and len(item) in (20, 32))[
        :MAX_HINTS
    ]


def collection_names(value: Value | None) -> tuple[str, ...]:
    """The names in a `collections` list (BEP 38)."""
    return tuple(text(item) for item in _items(value) if isinstance(item, bytes))[:MAX_HINTS]


def _items(value: Value | None) -> Sequence[Value]:
    return value if isinstance(value, list) else ()


def _is_v2(info: Dictionary) -> bool:
    version = info.get(b"meta version")
    if version is None:
        return False
    if version != 2:
        raise MetainfoError(f"meta version {version!r:.40} is not known here")
    return True


def _name(info: Dictionary) -> str:
    name = info.get(b"name.utf-8")
    if not isinstance(name, bytes):
        name = info.get(b"name")
    if not isinstance(name, bytes):
        raise MetainfoError("the torrent has no name")
    return text(name)


def _piece_length(info: Dictionary, is_v2: bool) -> int:
    length = info.get(b"piece length")
    if not isinstance(length, int) or not 0 < length <= MAX_PIECE_LENGTH:
        raise MetainfoError("the piece length is not a number from 1 to 2^29")
    if is_v2 and (length < BLOCK or length & (length - 1)):
        raise MetainfoError("the piece length of a v2 torrent is not a power of two from 16 KiB")
    return length


def _pieces(info: Dictionary, total: int, piece_length: int) -> tuple[bytes, int]:
    pieces = info.get(b"pieces")
    if not isinstance(pieces, bytes) or len(pieces) % 20:
        raise MetainfoError("pieces is not a row of 20-byte hashes")
    num_pieces = len(pieces) // 20
    _check_count(num_pieces)
    if num_pieces != -(-total // piece_length):
        raise MetainfoError(f"{num_pieces} piece hashes do not fit {total} bytes in pieces of {piece_length}")
    return pieces, num_pieces


def _check_count(num_pieces: int) -> None:
    if num_pieces > MAX_PIECES:
        raise MetainfoError(f"{num_pieces} pieces are more than {MAX_PIECES}")


def _private(value: Value) -> bool:
    return value != 0 and value not in (b"", b"0")  # when in doubt, private (BEP 27)


def _at_root(entry: FileEntry) -> FileEntry:
    return FileEntry((), entry.size, entry.attr, entry.symlink, entry.pieces_root, entry.mtime)
