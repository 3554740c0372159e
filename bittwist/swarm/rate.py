"""How many bytes a second lately (what BEP 3's choking and pipelining compare)."""

from __future__ import annotations

WINDOW = 8  # seconds looked back: long enough to smooth bursts, short enough to notice a stall


class Rate:
    """A moving average over the last `WINDOW` seconds, and the total; adding costs O(1)."""

    __slots__ = ("_current", "_second", "_seconds", "_started_at", "_until", "total")

    def __init__(self) -> None:
        self.total = 0
        self._seconds = [
            0
        ] * WINDOW  # bytes of each whole second, by second % WINDOW; 0 for the one being counted
        self._second = 0  # the second that is being counted
        self._current = 0  # its bytes so far
        self._until = float("-inf")  # when it ends
        self._started_at: float | None = None

    def add(self, count: int, now: float) -> None:
        """`count` more bytes, just now."""
        self.total += count
        if now >= self._until:
            self._advance(now)
        self._current += count

    def per_second(self, now: float) -> float:
        """Bytes a second; in the first second after the first byte, the bytes so far."""
        if self._started_at is None:
            return 0.0
        if now >= self._until:
            self._advance(now)
        span = min(now - self._started_at, WINDOW - 1 + now - self._second)
        return (sum(self._seconds) + self._current) / max(span, 1.0)

    def _advance(self, now: float) -> None:
        second = int(now // 1)
        if self._started_at is None:
            self._started_at = now
        else:
            self._seconds[self._second % WINDOW] = self._current
            for passed in range(max(self._second + 1, second - WINDOW + 1), second + 1):
                self._seconds[passed % WINDOW] = 0
        self._second = second
        self._until = second + 1.0
        self._current = 0
