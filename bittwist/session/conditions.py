"""Things that become true once, and those who wait for them."""

from __future__ import annotations

from typing import Generic, TypeVar

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

T = TypeVar("T")


class Condition(Generic[T]):
    """Hands one value, or one failure, to everyone who waits.

    Waiters are told from the reactor's next turn, never inside our stack. Cancelling a wait only
    stops that wait. After `reset` the next `meet` or `miss` decides anew.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._waiting: list[Deferred[T]] = []
        self._outcome: tuple[T] | Exception | None = None

    def wait(self) -> Deferred[T]:
        if isinstance(self._outcome, tuple):
            return succeed(self._outcome[0])
        if self._outcome is not None:
            return fail(self._outcome)
        waiter: Deferred[T] = Deferred(self._forget)
        self._waiting.append(waiter)
        return waiter

    def meet(self, value: T) -> None:
        """It is so, with this value."""
        if self._outcome is None:
            self._outcome = (value,)
            self._clock.callLater(0, self._tell, self._take(), value)

    def miss(self, error: Exception) -> None:
        """It cannot be, because of `error`."""
        if self._outcome is None:
            self._outcome = error
            self._clock.callLater(0, self._tell, self._take(), Failure(error))

    def reset(self) -> None:
        """Undecided again."""
        self._outcome = None

    def _take(self) -> list[Deferred[T]]:
        waiting, self._waiting = self._waiting, []
        return waiting

    @staticmethod
    def _tell(waiting: list[Deferred[T]], outcome: T | Failure) -> None:
        for waiter in waiting:
            if not waiter.called:
                waiter.callback(outcome)

    def _forget(self, waiter: Deferred[T]) -> None:
        if waiter in self._waiting:
            self._waiting.remove(waiter)
