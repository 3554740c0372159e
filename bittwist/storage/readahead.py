"""What was read from disk a short while ago, and what is likely to be asked for next."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from ctypes import c_ubyte
from threading import Lock
from weakref import finalize

SPARE = 4 << 20  # bytes of buffers kept for the next reads

Key = tuple[Hashable, int, int]  # whose, index, begin


class ReadMemory:
    """How many bytes of chunks may live: cached, being read, or held by a peer that is slow to take them.

    Buffers are used again: no zeros are written, and no pages touched for the first time, for each read.
    """

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._lock = Lock()  # the last view of a chunk may go in any thread
        self._spare: dict[int, list[bytearray]] = {}  # by size
        self._spare_bytes = 0
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

    def buffer(self, size: int) -> bytearray:
        """For bytes that room was reserved for; with anything in it."""
        with self._lock:
            spare = self._spare.get(size)
            if not spare:
                return bytearray(size)
            self._spare_bytes -= size
            return spare.pop()

    def lend(self, buffer: bytearray) -> memoryview:
        """A read-only view of a filled buffer, which is taken back when the last view is gone."""
        # Nobody is told when the last view of a bytearray goes, but when this object goes with its last.
        lent = (c_ubyte * len(buffer)).from_buffer(buffer)
        finalize(lent, self._take_back, buffer).atexit = False
        return memoryview(lent).cast("B").toreadonly()

    def _take_back(self, buffer: bytearray) -> None:
        size = len(buffer)
        with self._lock:
            self.used -= size
            if self._spare_bytes + size <= SPARE:
                self._spare_bytes += size
                self._spare.setdefault(size, []).append(buffer)


class ReadCache:
    """The chunks read last, up to `size` bytes, least recently used out first."""

    def __init__(self, size: int, budget: int) -> None:
        self.size = size
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
        while self._bytes > self.size:
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
