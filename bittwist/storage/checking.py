"""Hashing many pieces of one torrent in the disk threads, beside what else they have to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from threading import local

from twisted.internet.defer import Deferred, FirstError, gatherResults

from bittwist.metainfo.info import Info
from bittwist.storage.interfaces import IStorage
from bittwist.storage.verifier import is_good
from bittwist.storage.workers import Lane

BATCH = 4 << 20  # bytes hashed a turn (3 ms): what a block read by a peer waits for at most, a thread
PART = 1 << 20  # bytes read at once

Progress = Callable[[int, int], None]  # bytes looked at so far, and of how many


class Check:
    """One pass over some pieces. `good` grows as it goes; `run` fires when it is through; cancellable."""

    _buffers = local()

    def __init__(
        self, lane: Lane, storage: IStorage, info: Info, pieces: Sequence[int], progress: Progress | None
    ) -> None:
        self._lane = lane
        self._storage = storage
        self._info = info
        self._batches = self._batched(pieces)
        self._progress = progress
        self._done = 0
        self._total = sum(info.geometry.piece_size(index) for index in pieces)
        self.good: list[int] = []

    async def run(self, threads: int) -> list[int]:
        """The pieces that are right, after looking at all. StorageError if some could not be read."""
        turns = [Deferred.fromCoroutine(self._turns()) for _ in range(threads)]
        try:
            await gatherResults(turns, consumeErrors=True)
        except FirstError as first:
            first.subFailure.raiseException()
        finally:  # however it ended: no turn goes on
            self._batches = iter(())
            for turn in turns:
                turn.cancel()
        return self.good

    async def _turns(self) -> None:
        for batch in self._batches:
            good = await self._lane.submit(partial(self._hash, batch))
            self.good.extend(good)
            self._done += sum(self._info.geometry.piece_size(index) for index in batch)
            if self._progress is not None:
                self._progress(self._done, self._total)

    def _hash(self, batch: list[int]) -> list[int]:
        buffer = getattr(self._buffers, "view", None)
        if buffer is None:
            buffer = self._buffers.view = memoryview(bytearray(PART))
        return [index for index in batch if is_good(self._storage, self._info, index, buffer)]

    def _batched(self, pieces: Sequence[int]) -> Iterator[list[int]]:
        size = max(1, BATCH // self._info.geometry.piece_length)
        for at in range(0, len(pieces), size):
            yield list(pieces[at : at + size])
