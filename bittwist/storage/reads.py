"""Reading blocks of one torrent for the peers that asked, a chunk at a time."""

from __future__ import annotations

from dataclasses import dataclass

from twisted.internet.defer import Deferred, fail, succeed
from twisted.python.failure import Failure

from bittwist.errors import LocalProtocolError
from bittwist.metainfo.geometry import Geometry
from bittwist.storage.interfaces import IStorage
from bittwist.storage.readahead import Chunk, ReadCache
from bittwist.storage.workers import Lane


@dataclass(slots=True)
class _Reader:
    """Somebody who waits for bytes of a chunk that is being read."""

    answer: Deferred[memoryview]
    at: int
    length: int


class Reads:
    """Reads ahead to the end of the piece, or by `read_ahead` bytes where pieces are longer.

    Readers of one chunk share one read. When the memory for chunks is all held by slow peers, only the bytes
    asked for are read, and not cached.
    """

    def __init__(
        self, lane: Lane, storage: IStorage, geometry: Geometry, cache: ReadCache, read_ahead: int
    ) -> None:
        self._lane = lane
        self._storage = storage
        self._geometry = geometry
        self._cache = cache
        self._chunk = min(read_ahead, geometry.piece_length)
        self._reading: dict[tuple[int, int], list[_Reader]] = {}

    def chunk(self, index: int, begin: int, length: int) -> tuple[int, memoryview] | None:
        """Where in the piece the chunk with these bytes begins, and the chunk, if it is in memory."""
        start = begin - begin % self._chunk
        chunk = self._cache.get((self, index, start))
        if chunk is None or begin + length > start + len(chunk):
            return None
        return start, chunk

    def cached(self, index: int, begin: int, length: int) -> memoryview | None:
        """The bytes, if they are in memory."""
        found = self.chunk(index, begin, length)
        if found is None:
            return None
        start, chunk = found
        return chunk[begin - start : begin - start + length]

    def read(self, index: int, begin: int, length: int) -> Deferred[memoryview]:
        """The bytes, read-only; StorageError if they cannot be read."""
        if not self._geometry.is_block(index, begin, length):
            return fail(LocalProtocolError(f"no {length} bytes at {begin} of piece {index}"))
        view = self.cached(index, begin, length)
        if view is not None:
            return succeed(view)
        start = begin - begin % self._chunk
        readers = self._reading.get((index, start))
        size = min(self._chunk, self._geometry.piece_size(index) - start)
        if begin + length > start + size:
            return self._exactly(index, begin, length)
        if readers is None and not self._cache.reserve(size):
            return self._exactly(index, begin, length)
        reader = _Reader(Deferred(), begin - start, length)
        if readers is not None:
            readers.append(reader)
        else:
            self._read_chunk(index, start, size, reader)
        return reader.answer

    def forget(self, index: int | None = None) -> None:
        """What was read of the piece (of all) is not to be given out any more."""
        self._cache.forget_piece(self, index)
        for key in [key for key in self._reading if index in (None, key[0])]:
            del self._reading[key]

    def _exactly(self, index: int, begin: int, length: int) -> Deferred[memoryview]:
        def run() -> memoryview:
            view = memoryview(bytearray(length))
            self._storage.read_into(index, begin, view)
            return view.toreadonly()

        return self._lane.submit(run)

    def _read_chunk(self, index: int, start: int, size: int, first: _Reader) -> None:
        memory = self._cache.memory
        readers = self._reading[index, start] = [first]

        def run() -> memoryview:
            try:
                chunk = Chunk(size)
                self._storage.read_into(index, start, memoryview(chunk))
            except BaseException:
                memory.give_back(size)
                raise
            chunk.memory = memory
            return memoryview(chunk).toreadonly()

        def done(result: memoryview | Failure) -> None:
            if self._reading.get((index, start)) is readers:  # else it was forgotten meanwhile
                del self._reading[index, start]
                if isinstance(result, memoryview):
                    self._cache.put((self, index, start), result)
            for reader in readers:
                if reader.answer.called:
                    continue
                if isinstance(result, memoryview):
                    reader.answer.callback(result[reader.at : reader.at + reader.length])
                else:
                    reader.answer.errback(result)

        self._lane.submit(run).addBoth(done)
