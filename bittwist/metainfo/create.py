"""From a file list, options and piece hashes to a metainfo, touching no file (BEP 3, 12, 19, 27, 47)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bittwist.errors import LocalProtocolError, MetainfoError
from bittwist.metainfo import bencode
from bittwist.metainfo.bencode import Encodable
from bittwist.metainfo.geometry import BLOCK
from bittwist.metainfo.info import MAX_PIECES, Info
from bittwist.metainfo.metainfo import Metainfo

AIM_PIECES = 2048  # more make the .torrent large, fewer make each bad piece costly
LARGEST_PIECE = 16 << 20  # chosen by ourselves; each piece in flight is held in memory

ListedFile = tuple[Sequence[str], int, str]  # path below the torrent's name, size, BEP 47 letters


@dataclass(frozen=True, slots=True)
class CreateOptions:
    """What to say in and around the info dictionary; `trackers` are tiers, dates are seconds since 1970."""

    trackers: tuple[tuple[str, ...], ...] = ()
    web_seeds: tuple[str, ...] = ()
    private: bool = False
    source: str | None = None
    comment: str | None = None
    created_by: str | None = None
    creation_date: int | None = None


def piece_length_for(total_size: int) -> int:
    """The smallest power of two, from 16 KiB to 16 MiB, that makes at most 2048 pieces.

    Above 32 GiB it stays 16 MiB, until the pieces would be more than a torrent may have.
    """
    length = BLOCK
    while length < LARGEST_PIECE and length * AIM_PIECES < total_size:
        length *= 2
    while length * MAX_PIECES < total_size:
        length *= 2
    return length


def order(path: Sequence[str]) -> bytes:
    """The sort key of a file's path below the torrent's name: all of it, bytewise.

    Names come as the operating system gives them; what was not UTF-8 (surrogates) goes back to its bytes.
    """
    return b"/".join(_raw(name) for name in path)


def create(
    name: str, files: Sequence[ListedFile], piece_length: int, pieces: bytes, options: CreateOptions
) -> Metainfo:
    """A v1 metainfo for files whose contents, one after the other, have the SHA-1s `pieces`.

    A single file has an empty path. MetainfoError if the result would not be a valid torrent;
    LocalProtocolError unless the files are in the order of `order`.
    """
    if not files:
        raise MetainfoError("there are no files to make a torrent of")
    keys = [order(path) for path, _size, _attr in files]
    if keys != sorted(keys):
        raise LocalProtocolError("the files are not in bytewise order of their paths")
    info: dict[str, Encodable] = {"name": _raw(name), "piece length": piece_length, "pieces": pieces}
    if len(files) == 1 and not files[0][0]:
        info.update(_attributes(files[0]))
    else:
        info["files"] = [_listed(file) for file in files]
    if options.private:
        info["private"] = 1
    if options.source is not None:
        info["source"] = options.source
    return Metainfo(
        info=Info.parse(bencode.encode(info), strict=True),
        trackers=tuple(tier for tier in options.trackers if tier),
        web_seeds=options.web_seeds,
        comment=options.comment,
        created_by=options.created_by,
        creation_date=options.creation_date,
    )


def _listed(file: ListedFile) -> Encodable:
    path = file[0]
    if not path:
        raise LocalProtocolError("a file among others has no path")
    return {**_attributes(file), "path": [_raw(name) for name in path]}


def _attributes(file: ListedFile) -> dict[str, Encodable]:
    _path, size, attr = file
    return {"length": size, "attr": attr} if attr else {"length": size}


def _raw(name: str) -> bytes:
    return name.encode(errors="surrogateescape")
