"""Pieces that similar torrents of the session have already (BEP 38): read there, checked and kept here.

Nothing of the other torrent is ever written to: its bytes are copied, as two torrents that share a file by a
hard link would write into each other's.
"""

from __future__ import annotations

from collections.abc import Iterable

from twisted.logger import Logger

from bittwist.errors import StorageError
from bittwist.metainfo.info import Info
from bittwist.metainfo.similar import ZEROS, Extent, borrowed
from bittwist.session.content import Content

MAX_MISSES = (
    16  # pieces in a row that were other ones after all, before a torrent is taken to be too different
)
_log = Logger()


async def reuse(mine: Content, lenders: Iterable[Content]) -> int:
    """Copy what is wanted and missing; how many pieces. Lenders are read as long as they are open."""
    copied = 0
    for lender in lenders:
        try:
            copied += await _copy(mine, lender)
        except StorageError as error:
            # Theirs, or ours, which is told to whom it concerns; peers have the pieces, too.
            _log.warn("{name} is not made use of: {why}", name=lender.info.name, why=error)
    return copied


async def _copy(mine: Content, lender: Content) -> int:
    copied = misses = 0
    for index, extents in borrowed(mine.info, lender.info, mine.missing()):
        if misses >= MAX_MISSES:
            break
        if not mine.lacks(index) or not _has(lender, extents):
            continue
        view = memoryview(bytearray(_size(mine.info, index)))
        at = 0
        for extent in extents:
            if extent.index != ZEROS:
                view[at : at + extent.length] = await lender.read(extent.index, extent.begin, extent.length)
            at += extent.length
        good = await mine.downloads.offer(index, view)
        misses = 0 if good else misses + 1
        copied += good
    return copied


def _has(lender: Content, extents: tuple[Extent, ...]) -> bool:
    have = lender.progress.have
    return have is not None and all(extent.index == ZEROS or extent.index in have for extent in extents)


def _size(info: Info, index: int) -> int:
    return info.geometry.piece_size(index)
