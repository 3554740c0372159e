"""Which block is asked of which peers: of one, and near the end of up to three (BEP 3, "end game")."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

PeerKey = int

MAX_COPIES = 3  # peers asked for one block at once: the first, and two more
MAX_HASTY = 4  # blocks one peer is asked for a second time before any of them is overdue
HASTY_LOOKS = 128  # blocks looked at for that: each block that comes in the end game costs this much


class Requests:
    """The outstanding blocks of a torrent, by running number; owned by the picker.

    `first` holds the peer that was asked first and when, oldest first. The picker writes to it
    directly (each block passes here twice) and calls `drop` only where `copies` is not empty.
    """

    __slots__ = ("copies", "first")

    def __init__(self) -> None:
        self.first: dict[int, tuple[PeerKey, float]] = {}
        self.copies: dict[int, list[PeerKey]] = {}  # the peers asked besides

    def drop(self, block: int) -> list[PeerKey]:
        """The block came, or is not wanted any more: whom it was asked of."""
        keys = self.copies.pop(block, [])
        asked = self.first.pop(block, None)
        return keys if asked is None else [asked[0], *keys]

    def withdraw(self, block: int, key: PeerKey) -> bool:
        """`key` will not send it: whether nobody else is asked for it now."""
        asked = self.first.get(block)
        if asked is None:
            return False
        others = self.copies.get(block)
        if asked[0] == key:
            if not others:
                del self.first[block]
                return True
            self.first[block] = (others.pop(0), asked[1])
        elif others and key in others:
            others.remove(key)
        if not others:
            self.copies.pop(block, None)
        return False

    def of(self, key: PeerKey) -> list[int]:
        """The blocks asked of a peer."""
        blocks = [block for block, (first, _) in self.first.items() if first == key]
        return blocks + [block for block, others in self.copies.items() if key in others]

    def again(self, key: PeerKey, *, before: float, hasty: bool) -> Iterator[int]:
        """Blocks worth asking of `key` too: those asked for up to `before`, the oldest first.

        Where `hasty` is set and none is that old, the newest (which would come last), as long as
        the peer has fewer than MAX_HASTY copies outstanding. Each is to be passed to `repeat`
        before the next is taken, or left.
        """
        overdue = 0
        for block, (first, at) in self.first.items():
            if at > before:
                break
            overdue += 1
            if self._may_repeat(block, first, key):
                yield block
        if not hasty:
            return
        hasty_left = MAX_HASTY - sum(key in others for others in self.copies.values())
        if hasty_left <= 0:
            return
        for block in islice(reversed(self.first), min(len(self.first) - overdue, HASTY_LOOKS)):
            if self._may_repeat(block, self.first[block][0], key):
                yield block
                hasty_left -= key in self.copies.get(block, ())
                if hasty_left <= 0:
                    return

    def late(self, start: int, count: int, key: PeerKey, *, before: float) -> Iterator[int]:
        """Of `count` blocks from `start`, those asked for up to `before` that may be asked of `key` too."""
        for block in range(start, start + count):
            asked = self.first.get(block)
            if asked is not None and asked[1] <= before and self._may_repeat(block, asked[0], key):
                yield block

    def repeat(self, block: int, key: PeerKey) -> None:
        """The block is asked of `key` too."""
        self.copies.setdefault(block, []).append(key)

    def _may_repeat(self, block: int, first: PeerKey, key: PeerKey) -> bool:
        others = self.copies.get(block, ())
        return first != key and key not in others and len(others) < MAX_COPIES - 1
