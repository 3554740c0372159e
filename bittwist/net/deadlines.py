"""The same patience with many: whoever was not done in time is told so, by one timer for all of them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

from twisted.internet.interfaces import IDelayedCall, IReactorTime

Waiting = TypeVar("Waiting")


class Deadlines(Generic[Waiting]):
    """`seconds` for each, from its beginning. Owns who is being waited for, the first to be late in front.

    As all have the same time, they are late in the order in which they began. Nothing is scheduled while
    nobody is waited for.
    """

    def __init__(self, clock: IReactorTime, seconds: float, late: Callable[[Waiting], None]) -> None:
        self._clock = clock
        self._seconds = seconds
        self._late = late
        self._due: OrderedDict[Waiting, float] = OrderedDict()
        self._timer: IDelayedCall | None = None

    def __len__(self) -> int:
        return len(self._due)

    def begin(self, waiting: Waiting) -> None:
        """From now on it has its time; if it has begun before, anew."""
        self._due[waiting] = self._clock.seconds() + self._seconds
        self._due.move_to_end(waiting)
        if self._timer is None:
            self._timer = self._clock.callLater(self._seconds, self._look)

    def end(self, waiting: Waiting) -> None:
        """It is done, or gone, or has not begun."""
        self._due.pop(waiting, None)
        if not self._due and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def longest(self, at_least: float = 0.0) -> Waiting | None:
        """Who has been waited for longest, if so many seconds."""
        for waiting, due in self._due.items():
            return waiting if self._clock.seconds() >= due - self._seconds + at_least else None
        return None

    def _look(self) -> None:
        self._timer = None
        now = self._clock.seconds()
        late = []
        for waiting, due in self._due.items():
            if due > now:
                break
            late.append(waiting)
        for waiting in late:
            del self._due[waiting]
        for due in self._due.values():
            self._timer = self._clock.callLater(due - now, self._look)
            break
        for waiting in late:
            self._late(waiting)
