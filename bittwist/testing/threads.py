"""A thread pool that has no threads: work runs at once, where it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

_P = ParamSpec("_P")
_R = TypeVar("_R")


class PoolAtOnce(ThreadPool):
    """Stands in for twisted.python.threadpool.ThreadPool: the result is there when the call returns."""

    _log = Logger()

    def __init__(self, minthreads: int = 5, maxthreads: int = 20, name: str | None = None) -> None:
        super().__init__(minthreads, maxthreads, name)
        self.calls = 0

    def start(self) -> None:
        self.started = True
        self.joined = False

    def stop(self) -> None:
        self.started = False
        self.joined = True

    def startAWorker(self) -> None:
        """There are none."""

    def stopAWorker(self) -> None:
        """There are none."""

    def adjustPoolsize(self, minthreads: int | None = None, maxthreads: int | None = None) -> None:
        self.min = self.min if minthreads is None else minthreads
        self.max = self.max if maxthreads is None else maxthreads

    def callInThread(self, func: Callable[_P, object], *args: _P.args, **kw: _P.kwargs) -> None:
        """Run `func`; as in a thread, what it raises is logged and goes no further."""
        self.calls += 1
        try:
            func(*args, **kw)
        except Exception:
            self._log.failure("a call in a thread failed")

    def callInThreadWithCallback(
        self,
        onResult: Callable[[bool, _R], object] | None,
        func: Callable[_P, _R],
        *args: _P.args,
        **kw: _P.kwargs,
    ) -> None:
        """Run `func`, then `onResult(True, result)` or `onResult(False, failure)`."""
        if onResult is None:
            self.callInThread(func, *args, **kw)
            return
        self.calls += 1
        try:
            result, success = func(*args, **kw), True
        except Exception:
            # ThreadPool's own signature says _R, though it hands over a Failure here.
            result, success = cast(_R, Failure()), False
        try:
            onResult(success, result)
        except Exception:
            self._log.failure("the callback of a call in a thread failed")
