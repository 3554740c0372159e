"""Where a torrent's bytes are on a web seed: the URLs of its files, or of its pieces (BEP 19, BEP 17)."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, chain
from typing import Protocol
from urllib.parse import quote

from bittwist.metainfo import bencode
from bittwist.metainfo.info import Info

_REPLACED = "�"  # what stands for bytes that are not UTF-8


@dataclass(frozen=True, slots=True)
class Part:
    """`length` bytes that one request gets: those from `first` on of the file of `size` bytes at `url`.

    `size` is None where the URL itself names just these bytes; without a URL they are padding: zeros.
    `file` is the file's running number, None where the URL is of a piece.
    """

    url: str | None
    first: int
    length: int
    size: int | None
    file: int | None


class Layout(Protocol):
    """How a web seed is laid out."""

    def part(self, at: int, length: int) -> Part:
        """The first part of the `length` bytes (one or more) from byte `at` of the torrent on."""
        ...


class FileUrls:
    """One URL for each file (BEP 19): ranges of it are asked for."""

    def __init__(self, base: str, info: Info) -> None:
        self._base = base
        self._info = info
        self._name, self._paths = _names(info)
        self._ends = tuple(accumulate(entry.size for entry in info.files))

    def part(self, at: int, length: int) -> Part:
        file = bisect_right(self._ends, at)
        entry = self._info.files[file]
        first = at - self._ends[file] + entry.size
        return Part(
            None if entry.is_pad else self.url(file),
            first,
            min(length, self._ends[file] - at),
            entry.size,
            file,
        )

    def url(self, file: int) -> str:
        """The URL of a file; each name in it is percent-encoded, byte by byte."""
        base, info = self._base, self._info
        if info.single_file:
            return base + _quoted(self._name) if base.endswith("/") else base
        names = (self._name, *self._paths[file])
        return base + ("" if base.endswith("/") else "/") + "/".join(map(_quoted, names))


class PieceUrls:
    """A script that is asked for pieces, or parts of them (BEP 17)."""

    def __init__(self, base: str, info: Info) -> None:
        self._info = info
        hash_ = quote(info.info_hash.short, safe="")
        self._query = f"{base}{'&' if '?' in base else '?'}info_hash={hash_}&piece="

    def part(self, at: int, length: int) -> Part:
        geometry = self._info.geometry
        index, begin = divmod(at, geometry.piece_length)
        size = geometry.piece_size(index)
        length = min(length, size - begin)
        ranges = "" if length == size else f"&ranges={begin}-{begin + length - 1}"
        return Part(f"{self._query}{index}{ranges}", 0, length, None, None)


def _quoted(name: str | bytes) -> str:
    return quote(name, safe="")


def _names(info: Info) -> tuple[str | bytes, Sequence[Sequence[str | bytes]]]:
    """The torrent's name and its files' paths: as bytes where these are not UTF-8, as servers have them."""
    paths = tuple(entry.path for entry in info.files)
    if not any(_REPLACED in name for name in (info.name, *chain.from_iterable(paths))):
        return info.name, paths
    value = bencode.decode(info.raw, strict=False)
    assert isinstance(value, dict), "an Info is made from a dictionary"
    (name,) = _as_found((info.name,), [value.get(b"name.utf-8", value.get(b"name"))])
    listed = value.get(b"files")
    items = listed if isinstance(listed, list) else [{}]
    found = (item.get(b"path.utf-8", item.get(b"path")) for item in items if isinstance(item, dict))
    return name, [_as_found(path, raw) for path, raw in zip(paths, found)]


def _as_found(
    names: Sequence[str], found: bencode.Value | Sequence[bencode.Value | None] | None
) -> Sequence[str | bytes]:
    raw = [name for name in found if isinstance(name, bytes)] if isinstance(found, list) else []
    return raw if len(raw) == len(names) else names
