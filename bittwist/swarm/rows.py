"""Pieces in rows, for who gives many of them in one answer (BEP 19, "Piece Selection")."""

from __future__ import annotations

from collections.abc import Callable

PeerKey = int
Free = Callable[[int], bool]
"""Whether a piece may be begun now for the one it is asked about."""

MAX_BACK = 256  # pieces looked at for where a gap begins; a longer row is as good


class Rows:
    """Who is asked for pieces in rows, and the last piece begun for each."""

    def __init__(self, num_pieces: int) -> None:
        self._num_pieces = num_pieces
        self._last: dict[PeerKey, int | None] = {}

    def join(self, key: PeerKey) -> None:
        self._last.setdefault(key, None)

    def left(self, key: PeerKey) -> None:
        self._last.pop(key, None)

    def began(self, key: PeerKey, index: int) -> None:
        """The piece was begun for it."""
        if key in self._last:
            self._last[key] = index

    def following(self, key: PeerKey, free: Free) -> int | None:
        """The piece behind the last, if that goes on the row."""
        last = self._last.get(key)
        if last is None or last + 1 >= self._num_pieces:
            return None
        return last + 1 if free(last + 1) else None

    def beginning(self, key: PeerKey, index: int, free: Free) -> int:
        """Where a new row that has this piece in it begins: with its gap.

        The first row begins with the piece, so that those who ask one server begin in different places.
        """
        if self._last.get(key) is None:
            return index
        least = max(0, index - MAX_BACK)
        while index > least and free(index - 1):
            index -= 1
        return index
