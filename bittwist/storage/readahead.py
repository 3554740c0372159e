"""What was read from disk a short while ago, and what is likely to be asked for next."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from threading import Lock

Key = tuple[Hashable, int, int]  # whose, index, begin


class Chunk(bytearray):
    """Bytes of a piece. Its room in the budget is given back when the last view of it is gone."""

    memory: ReadMemory | None = None

    def __del__(self) -> None:
        if self.memory is not None:
            self.memory.give_back(len(self))


class ReadMemory:
    """How many bytes of chunks may live: cached, being read, or held by a peer that is slow to take them."""

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._lock = Lock()  # the last view of a chunk may go in any thread
        self.used = 0

    def take(self, size: int) -> bool:
        """Reserve room for a chunk, if there is any."""
        with self._lock:
            if self.used + size > self._budget:
                return False
            self.used += size
            return True

    def give_back(self, size: int) -> None:
        with self._lock:
            self.used -= size


class ReadCache:
    """The chunks read last, up to `size` bytes, least recently used out first."""

    def __init__(self, size: int, budget: int) -> None:
        self._size = size
        self._chunks: OrderedDict[Key, memoryview] = OrderedDict()
        self._bytes = 0
        self.memory = ReadMemory(budget)

    def get(self, key: Key) -> memoryview | None:
        chunk = self._chunks.get(key)
        if chunk is not None:
            self._chunks.move_to_end(key)
        return chunk

    def put(self, key: Key, chunk: memoryview) -> None:
        self.forget(key)
        self._chunks[key] = chunk
        self._bytes += len(chunk)
        while self._bytes > self._size:
            self._evict()

    def reserve(self, size: int) -> bool:
        """Room for one more chunk, made by letting go of old ones; False if peers hold too much."""
        while not self.memory.take(size):
            if not self._chunks:
                return False
            self._evict()
        return True

    def forget(self, key: Key) -> None:
        chunk = self._chunks.pop(key, None)
        if chunk is not None:
            self._bytes -= len(chunk)

    def forget_piece(self, owner: Hashable, index: int | None = None) -> None:
        """Let go of a piece of `owner`'s, or of all its pieces."""
        for key in [key for key in self._chunks if key[0] == owner and index in (None, key[1])]:
            self.forget(key)

    def _evict(self) -> None:
        _, chunk = self._chunks.popitem(last=False)
        self._bytes -= len(chunk)
