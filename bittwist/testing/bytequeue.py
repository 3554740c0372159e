"""Bytes that wait to be sent or read, in order."""

from __future__ import annotations

from collections import deque


class ByteQueue:
    """First in, first out; `size` is how many bytes wait."""

    def __init__(self) -> None:
        self.size = 0
        self._pieces: deque[bytes] = deque()
        self._offset = 0  # how much of the first piece is taken: cutting it each time would copy its rest

    def __bool__(self) -> bool:
        return self.size > 0

    def append(self, data: bytes) -> None:
        if data:
            self._pieces.append(data)
            self.size += len(data)

    def take(self, limit: int) -> bytes:
        """The first bytes, at most `limit`."""
        taken: list[bytes] = []
        left = min(limit, self.size)
        self.size -= left
        while left:
            piece = self._pieces[0]
            part = piece[self._offset : self._offset + left]
            taken.append(part)
            left -= len(part)
            self._offset += len(part)
            if self._offset == len(piece):
                self._pieces.popleft()
                self._offset = 0
        return taken[0] if len(taken) == 1 else b"".join(taken)

    def clear(self) -> None:
        self._pieces.clear()
        self._offset = 0
        self.size = 0
