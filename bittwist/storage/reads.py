"""Reading blocks of one torrent for the peers that asked, a chunk at a time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from twisted.internet.defer import Deferred, fail, succeed
from twisted.python.failure import Failure

from bittwist.errors import LocalProtocolError
from bittwist.metainfo.geometry import Geometry
from bittwist.storage.interfaces import IStorage
from bittwist.storage.readahead import ReadCache
from bittwist.storage.workers import Lane

Block = tuple[int, int, int]  # index, begin, length

MAX_AT_ONCE = (
    4  # chunks read in one go: waking a thread and the reactor costs more than reading one from memory
)


@dataclass(slots=True)
class _Reader:
    """Somebody who waits for bytes of a chunk that is being read."""

    answer: Deferred[memoryview]
    at: int
    length: int


@dataclass(slots=True)
class _Chunk:
    """What is being read at once, and who waits for bytes of it."""

    index: int
    start: int
    size: int
    readers: list[_Reader]


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
        self._at_once = min(
            MAX_AT_ONCE, cache.size // (2 * self._chunk)
        )  # what is sent meanwhile stays cached
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

    def read(self, index: int, begin: int, length: int, then: Iterable[Block] = ()) -> Deferred[memoryview]:
        """The bytes, read-only; StorageError if they cannot be read.

        `then`: blocks that are likely to be read next; a few chunks are read in the same go. What keeps those
        from being read is nobody's error yet.
        """
        if not self._geometry.is_block(index, begin, length):
            return fail(LocalProtocolError(f"no {length} bytes at {begin} of piece {index}"))
        view = self.cached(index, begin, length)
        if view is not None:
            return succeed(view)
        start = begin - begin % self._chunk
        size = self._size(index, start)
        readers = self._reading.get((index, start))
        if begin + length > start + size:
            return self._exactly(index, begin, length)
        if readers is None and not self._cache.reserve(size):
            return self._exactly(index, begin, length)
        reader = _Reader(Deferred(), begin - start, length)
        if readers is not None:
            readers.append(reader)
        else:
            self._read_chunks(self._with_next(_Chunk(index, start, size, [reader]), then))
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

    def _with_next(self, first: _Chunk, blocks: Iterable[Block]) -> list[_Chunk]:
        """`first`, and the next chunks with these blocks, where they are not in memory and it has room."""
        chunks = [first]
        seen = {(first.index, first.start)}
        for index, begin, length in blocks:
            start = begin - begin % self._chunk
            if (index, start) in seen:
                continue
            if len(chunks) >= self._at_once:
                break
            seen.add((index, start))
            if (index, start) in self._reading or self.chunk(index, begin, length) is not None:
                continue
            size = self._size(index, start)
            if begin + length <= start + size and self._cache.reserve(size):
                chunks.append(_Chunk(index, start, size, []))
        return chunks

    def _size(self, index: int, start: int) -> int:
        return min(self._chunk, self._geometry.piece_size(index) - start)

    def _read_chunks(self, chunks: Sequence[_Chunk]) -> None:
        memory = self._cache.memory
        for chunk in chunks:
            self._reading[chunk.index, chunk.start] = chunk.readers

        def read(chunk: _Chunk) -> memoryview | Failure:
            try:
                buffer = memory.buffer(chunk.size)
                self._storage.read_into(chunk.index, chunk.start, memoryview(buffer))
            except BaseException:
                memory.give_back(chunk.size)
                return Failure()
            return memory.lend(buffer)

        def run() -> list[memoryview | Failure]:
            return [read(chunk) for chunk in chunks]

        def done(results: list[memoryview | Failure]) -> None:
            for chunk, result in zip(chunks, results):
                key = chunk.index, chunk.start
                if self._reading.get(key) is chunk.readers:  # else it was forgotten meanwhile
                    del self._reading[key]
                    if isinstance(result, memoryview):
                        self._cache.put((self, *key), result)
            for chunk, result in zip(chunks, results):
                for reader in chunk.readers:
                    if reader.answer.called:
                        continue
                    if isinstance(result, memoryview):
                        reader.answer.callback(result[reader.at : reader.at + reader.length])
                    else:
                        reader.answer.errback(result)

        self._lane.submit(run).addCallback(done)
