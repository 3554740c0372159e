"""A token bucket: how many bytes may move under a rate, without a clock of its own."""

from __future__ import annotations

BURST = 0.25  # seconds of the rate that gather while nobody takes: a busy reactor may be late by that much
LEAST_BURST = 4096  # bytes: some segments, however low the rate


class TokenBucket:
    """Tokens are bytes. What is taken in t seconds never exceeds `rate` * t and one `burst`.

    It begins empty. Only what was taken is put back.
    """

    __slots__ = ("_at", "_tokens", "burst", "rate")

    def __init__(self, rate: float, *, now: float) -> None:
        self._tokens = 0.0
        self._at = now
        self._set(rate)

    def set_rate(self, rate: float, *, now: float) -> None:
        """Bytes a second, more than 0, from now on."""
        self._fill(now)
        self._set(rate)

    def available(self, now: float) -> int:
        """How many bytes may be taken."""
        self._fill(now)
        return int(self._tokens)

    def take(self, amount: int) -> None:
        """Take no more than was said to be available."""
        assert amount <= self._tokens
        self._tokens -= amount

    def put_back(self, amount: int) -> None:
        """So much of what was taken was not used."""
        self._tokens = min(self.burst, self._tokens + amount)

    def until(self, amount: int, *, now: float) -> float:
        """Seconds until so much is available, if nobody takes any; `amount` is at most the burst."""
        self._fill(now)
        return max(0.0, (amount - self._tokens) / self.rate)

    def _set(self, rate: float) -> None:
        if rate <= 0:
            raise ValueError("a rate is more than 0")
        self.rate = rate
        self.burst = max(LEAST_BURST, rate * BURST)
        self._tokens = min(self._tokens, self.burst)

    def _fill(self, now: float) -> None:
        passed = now - self._at
        if passed > 0:
            self._at = now
            self._tokens = min(self.burst, self._tokens + passed * self.rate)
