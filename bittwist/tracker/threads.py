"""Blocking work of the tracker, done in the reactor's threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, Protocol, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

_P = ParamSpec("_P")
_R = TypeVar("_R")


class FilesReactor(Protocol):
    """What is needed of a reactor to keep files: a clock, and threads."""

    def seconds(self) -> float: ...

    def callLater(self, delay: float, callable: Callable[..., object], *args: object) -> IDelayedCall: ...

    def callFromThread(self, callable: Callable[..., object], *args: object) -> object: ...

    def getThreadPool(self) -> ThreadPool: ...


def in_thread(reactor: FilesReactor, work: Callable[_P, _R], *args: _P.args, **kw: _P.kwargs) -> Deferred[_R]:
    """What `work` returns or raises, once a thread has done it."""
    pool = reactor.getThreadPool()
    return deferToThreadPool(reactor, pool, work, *args, **kw)  # type: ignore[arg-type]  # it calls callFromThread only
