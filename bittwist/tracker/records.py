"""Values by name, listed in the order of their names, a page at a time."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator
from typing import Generic, TypeVar

K = TypeVar("K", str, bytes)
V = TypeVar("V")

MAX_PAGE = 1000  # values in one answer


class Records(Generic[K, V]):
    """A dictionary that is also read in order; of a million names a page costs no more than of ten."""

    def __init__(self) -> None:
        self._values: dict[K, V] = {}
        self._order: list[K] | None = None  # made when first asked for

    def __len__(self) -> int:
        return len(self._values)

    def __iter__(self) -> Iterator[V]:
        return iter(self._values.values())

    def get(self, name: K) -> V | None:
        return self._values.get(name)

    def put(self, name: K, value: V) -> None:
        if self._order is not None and name not in self._values:
            insort(self._order, name)
        self._values[name] = value

    def remove(self, name: K) -> V | None:
        """Whatever had the name."""
        value = self._values.pop(name, None)
        if self._order is not None and value is not None:
            del self._order[bisect_left(self._order, name)]
        return value

    def page(self, after: K | None, count: int) -> list[V]:
        """At most `count` values (and MAX_PAGE), those whose names come next after `after`."""
        if self._order is None:
            self._order = sorted(self._values)
        start = 0 if after is None else bisect_right(self._order, after)
        stop = start + max(0, min(count, MAX_PAGE))
        return [self._values[name] for name in self._order[start:stop]]
