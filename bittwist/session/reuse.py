"""Pieces that similar torrents of the session have already (BEP 38): read there, checked and kept here.

Nothing of the other torrent is ever written to: its bytes are copied, as two torrents that share a file by a
hard link would write into each other's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from bittwist.errors import StorageError
from bittwist.metainfo.info import Info
from bittwist.metainfo.similar import ZEROS, Extent, borrowed
from bittwist.session.content import Content

MAX_MISSES = (
    16  # pieces in a row that were other ones after all, before a torrent is taken to be too different
)
_log = Logger()


class Borrower(Protocol):
    """A torrent, as far as this goes."""

    @property
    def fetching(self) -> Content | None:
        """What it downloads into; None while it does not download."""
        ...

    def lenders(self) -> list[Content]:
        """What similar torrents have, checked."""
        ...


class Reuse:
    """What one torrent takes from similar ones: when asked, and once by itself where the settings say so."""

    def __init__(self, clock: IReactorTime, borrower: Borrower) -> None:
        self._clock = clock
        self._borrower = borrower
        self._begun = False  # by itself
        self._next: IDelayedCall | None = None

    def begin(self) -> None:
        """From the reactor's next turn on, unless that was done once."""
        if not self._begun and self._next is None:
            self._next = self._clock.callLater(0, self._begin)

    def stop(self) -> None:
        """It does not download any more; what is being copied ends by itself."""
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def _begin(self) -> None:
        self._next, self._begun = None, True
        self.all().addErrback(lambda failure: _log.failure("Nothing could be reused", failure))

    def all(self) -> Deferred[int]:
        """Copy what is there now; fires with how many pieces that were."""
        borrower, content = self._borrower, self._borrower.fetching
        if content is None:
            return succeed(0)
        lenders = borrower.lenders()
        return Deferred.fromCoroutine(reuse(content, lenders, lambda: borrower.fetching is content))


async def reuse(
    mine: Content, lenders: Iterable[Content], going_on: Callable[[], bool] = lambda: True
) -> int:
    """Copy what is wanted and missing, while `going_on`; how many pieces. Lenders are read while open."""
    copied = 0
    for lender in lenders:
        try:
            copied += await _copy(mine, lender, going_on)
        except StorageError as error:
            # Theirs, or ours, which is told to whom it concerns; peers have the pieces, too.
            _log.warn("{name} is not made use of: {why}", name=lender.info.name, why=error)
    return copied


async def _copy(mine: Content, lender: Content, going_on: Callable[[], bool]) -> int:
    copied = misses = 0
    for index, extents in borrowed(mine.info, lender.info, mine.missing()):
        if misses >= MAX_MISSES or not going_on():
            break
        if not mine.lacks(index) or not _has(lender, extents):
            continue
        view = memoryview(bytearray(_size(mine.info, index)))
        at = 0
        for extent in extents:
            if extent.index != ZEROS:
                view[at : at + extent.length] = await lender.read(extent.index, extent.begin, extent.length)
            at += extent.length
        if not going_on():
            break
        good = await mine.downloads.offer(index, view)
        misses = 0 if good else misses + 1
        copied += good
    return copied


def _has(lender: Content, extents: tuple[Extent, ...]) -> bool:
    have = lender.progress.have
    return have is not None and all(extent.index == ZEROS or extent.index in have for extent in extents)


def _size(info: Info, index: int) -> int:
    return info.geometry.piece_size(index)
