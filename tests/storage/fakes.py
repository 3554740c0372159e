"""A reactor without threads or time of its own, for the effects of storage."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.task import Clock


class AtOnce:
    """A thread pool whose threads are done before you look."""

    def callInThread(self, func: Callable[[], object]) -> None:
        func()


class Later:
    """A thread pool whose threads begin when told."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[], object]] = []

    def callInThread(self, func: Callable[[], object]) -> None:
        self.waiting.append(func)

    def run(self) -> None:
        while self.waiting:
            self.waiting.pop(0)()


class FakeReactor(Clock):
    """Time that stands still until `advance`, and replies that come in the next turn (`turn`)."""

    def __init__(self, pool: AtOnce | Later | None = None) -> None:
        super().__init__()
        self.pool = pool if pool is not None else AtOnce()
        self.replies: list[tuple[Callable[..., object], tuple[Any, ...]]] = []

    def getThreadPool(self) -> AtOnce | Later:
        return self.pool

    def callFromThread(self, callable: Callable[..., object], *args: object) -> None:
        self.replies.append((callable, args))

    def turn(self) -> None:
        """Deliver replies, until there are no more."""
        while self.replies:
            function, args = self.replies.pop(0)
            function(*args)
