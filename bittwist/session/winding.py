"""Ends that take their time: what is begun again waits until they are over."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure


class Winding:
    """Counts what is being wound down; cancelling a wait stops that wait and nothing else."""

    _log = Logger()

    def __init__(self) -> None:
        self._under_way = 0
        self._waiting: list[Deferred[None]] = []

    def down(self, end: Coroutine[Deferred[Any], Any, None]) -> None:
        """Carry out an end; what it raises is logged, for nobody is left to do better."""
        self._under_way += 1
        Deferred.fromCoroutine(end).addErrback(self._failed).addCallback(self._one_less)

    def over(self) -> Deferred[None]:
        """Fires when nothing is being wound down any more."""
        if not self._under_way:
            return succeed(None)
        waiter: Deferred[None] = Deferred(self._waiting.remove)
        self._waiting.append(waiter)
        return waiter

    def _failed(self, failure: Failure) -> None:
        self._log.failure("An end went wrong", failure)

    def _one_less(self, _result: None) -> None:
        self._under_way -= 1
        if not self._under_way:
            waiting, self._waiting = self._waiting, []
            for waiter in waiting:
                waiter.callback(None)
