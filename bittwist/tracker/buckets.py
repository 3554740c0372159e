"""Packed records, found by their first bytes, in a table that never stops to grow (linear hashing)."""

from __future__ import annotations

from collections.abc import Iterator

FULL = 64  # records a bucket on average: a few hundred bytes to search, a few bytes a record for the bucket
SPARSE = 16  # records a bucket on average at which one is given back


class Buckets:
    """Records of `width` bytes. Those with the same first `lead` bytes are in one bucket, and found together.

    A dict of small objects takes four times the memory, and stops the world when it grows: a million
    entries for 40 ms. Here one bucket is split, or two are joined, at a time (W. Litwin, 1980). Python's own
    hash of bytes is keyed anew in each process, so nobody can aim at one bucket.
    """

    __slots__ = ("_buckets", "_count", "_lead", "_low", "_width")

    def __init__(self, width: int, lead: int) -> None:
        self._width = width
        self._lead = lead
        self._buckets = [bytearray()]
        self._low = 1  # the power of two up to which no bucket is split in this round
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, record: bytes) -> None:
        bucket = self._bucket(record)
        bucket += record
        self._count += 1
        if self._count > FULL * len(self._buckets):
            self._split()

    def find(self, start: bytes) -> bytes | None:
        """A record that begins so; `start` is `lead` bytes or more."""
        bucket = self._bucket(start)
        at = position(bucket, start, self._width)
        return None if at < 0 else bytes(bucket[at : at + self._width])

    def find_all(self, start: bytes) -> Iterator[bytes]:
        """All records that begin so."""
        bucket = self._bucket(start)
        at = position(bucket, start, self._width)
        while at >= 0:
            yield bytes(bucket[at : at + self._width])
            at = position(bucket, start, self._width, at + self._width)

    def replace(self, start: bytes, record: bytes) -> None:
        """In the place of the record that begins with `start`; it has the same first `lead` bytes."""
        bucket = self._bucket(start)
        at = position(bucket, start, self._width)
        assert at >= 0
        bucket[at : at + self._width] = record

    def remove(self, start: bytes) -> bool:
        """Remove one record that begins so; False if there is none."""
        bucket = self._bucket(start)
        at = position(bucket, start, self._width)
        if at < 0:
            return False
        last = len(bucket) - self._width
        if at != last:
            bucket[at : at + self._width] = bucket[last:]
        del bucket[last:]
        self._count -= 1
        if self._count < SPARSE * len(self._buckets) and len(self._buckets) > 1:
            self._join()
        return True

    def _bucket(self, start: bytes) -> bytearray:
        number = hash(start[: self._lead])
        at = number & (2 * self._low - 1)
        if at >= len(self._buckets):
            at = number & (self._low - 1)
        return self._buckets[at]

    def _split(self) -> None:
        """The next bucket in turn gives half of its records to a new one at the end."""
        at = len(self._buckets) - self._low
        both = bytes(self._buckets[at])
        stay: list[bytes] = []
        go: list[bytes] = []
        for offset in range(0, len(both), self._width):
            goes = hash(both[offset : offset + self._lead]) & self._low
            (go if goes else stay).append(both[offset : offset + self._width])
        self._buckets[at] = bytearray(b"".join(stay))
        self._buckets.append(bytearray(b"".join(go)))
        if len(self._buckets) == 2 * self._low:
            self._low *= 2

    def _join(self) -> None:
        """The last bucket goes back to where it came from."""
        if len(self._buckets) == self._low:
            self._low //= 2
        last = self._buckets.pop()
        self._buckets[len(self._buckets) - self._low] += last


def position(packed: bytes | bytearray, start: bytes, width: int, at: int = 0) -> int:
    """Where the first record that begins so is, at `at` or after it; -1 for nowhere."""
    at = packed.find(start, at)
    while at >= 0 and at % width:  # found across two records, or inside of one
        at = packed.find(start, at + 1)
    return at
