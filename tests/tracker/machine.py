"""A reactor for what keeps files: a clock, and threads whose work is done at once or when a test says so."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs, formatEvent
from twisted.python.threadpool import ThreadPool

from bittwist.testing import PoolAtOnce


class LatePool(PoolAtOnce):
    """Work waits until `run` is called."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[Callable[[], object]] = []

    def callInThreadWithCallback(self, onResult, func, *args, **kw):  # type: ignore[no-untyped-def]
        do = super().callInThreadWithCallback
        self.waiting.append(lambda: do(onResult, func, *args, **kw))

    def run(self) -> None:
        """Do what waits, and what comes to wait by that."""
        while self.waiting:
            self.waiting.pop(0)()


class Machine(Clock):
    """What FilesReactor asks for. `wall` is the date, and moves with the clock from `date` on."""

    def __init__(self, pool: PoolAtOnce | None = None) -> None:
        super().__init__()
        self.pool = PoolAtOnce() if pool is None else pool
        self.date = 1_800_000_000.0

    def getThreadPool(self) -> ThreadPool:
        return self.pool

    def callFromThread(self, callable: Callable[..., object], *args: object) -> None:
        callable(*args)

    def wall(self) -> float:
        return self.date + float(self.seconds())


@contextmanager
def complaints() -> Iterator[list[str]]:
    """The errors that are logged meanwhile, as texts; complete when this is over."""
    told: list[str] = []
    with capturedLogs() as events:
        yield told
    told += [formatEvent(event) for event in events if event["log_level"] is LogLevel.error]
