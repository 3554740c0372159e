"""What a peer may fetch of us although it is choked (BEP 6, "Allowed Fast"), and when it asks too much."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

NEWCOMER = 10  # pieces; who has more has something to trade and needs none for nothing (BEP 6)
COPIES = 2  # of each allowed piece: blocks may be lost to a choke, and nobody needs a third
MAX_REFUSED = 50  # requests in a row while choked, before a peer is dropped (SECURITY.md B9)
GRACE = 10.0  # seconds after a choke: requests that were on their way are nobody's fault


class AllowedFast:
    """The pieces that one choked peer may have, and how much of each is left for it."""

    def __init__(self, sizes: Mapping[int, int]) -> None:
        """`sizes` has the bytes of each allowed piece."""
        self._left = {index: COPIES * size for index, size in sizes.items()}

    @property
    def pieces(self) -> Iterable[int]:
        return self._left.keys()

    def take(self, index: int, length: int) -> bool:
        """Whether that much of a piece is still to be had; then it is had."""
        left = self._left.get(index, 0)
        if left < length:
            return False
        self._left[index] = left - length
        return True


class Refusals:
    """Requests that one peer sent while it was choked and that were refused."""

    def __init__(self) -> None:
        self._choked_at = float("-inf")
        self._count = 0

    def choked(self, now: float) -> None:
        self._choked_at = now

    def served(self) -> None:
        """It was unchoked, or got a block it was allowed."""
        self._count = 0

    def refused(self, now: float) -> bool:
        """One more; whether that is too many."""
        if now - self._choked_at >= GRACE:
            self._count += 1
        return self._count > MAX_REFUSED
