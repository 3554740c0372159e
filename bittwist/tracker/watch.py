"""What the admin pages ask a store, so that however many ask for it, the store is asked little."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from bittwist.errors import BitTwistError

ANSWER_WITHIN = 3.0  # seconds; who looks at a page, or a health check, does not wait longer

T = TypeVar("T")

_log = Logger()


class StoreAway(BitTwistError):
    """The store does not answer."""

    def __init__(self) -> None:
        super().__init__("the store does not answer")


@runtime_checkable
class MayBeAway(Protocol):
    """A store that knows by itself whether what it keeps its swarms in can be reached.

    Where it `answers_alone`, announces are answered all the same while it cannot.
    """

    @property
    def here(self) -> bool: ...

    @property
    def answers_alone(self) -> bool: ...


class Question(Generic[T]):
    """A question to a store. Its answer holds for `keep` seconds; all who ask meanwhile get the same.

    Owns the one asking that is under way, and who waits for it.
    """

    def __init__(
        self, clock: IReactorTime, ask: Callable[[], Coroutine[Deferred[Any], Any, T]], keep: float
    ) -> None:
        self._clock = clock
        self._ask = ask
        self._keep = keep
        self._answered: tuple[float, T] | None = None
        self._waiting: list[Deferred[T]] = []
        self._under_way = False
        self._well = True

    def answer(self) -> Deferred[T]:
        """What the store says, or StoreAway. Cancelling it only stops waiting."""
        if self._answered is not None and self._clock.seconds() - self._answered[0] < self._keep:
            return succeed(self._answered[1])
        waiting: Deferred[T] = Deferred(self._waiting.remove)
        self._waiting.append(waiting)
        if not self._under_way:
            self._under_way = True
            asked = Deferred.fromCoroutine(self._ask()).addTimeout(ANSWER_WITHIN, self._clock)
            asked.addCallbacks(self._done, self._failed)
        return waiting

    def _done(self, said: T) -> None:
        self._answered = (self._clock.seconds(), said)
        self._well = True
        for waiting in self._take():
            waiting.callback(said)

    def _failed(self, failure: Failure) -> None:
        self._answered = None
        if self._well:  # once, not for each who asks while it is away
            _log.failure("the store does not answer the admin pages", failure)
        self._well = False
        for waiting in self._take():
            waiting.errback(StoreAway())

    def _take(self) -> list[Deferred[T]]:
        self._under_way = False
        waiting, self._waiting = self._waiting, []
        return waiting
