"""Death at any system call: what the disk is left with when a process is killed (SECURITY.md T28)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

CALLS = ("fchmod", "fdatasync", "fsync", "ftruncate", "link", "mkdir", "open", "posix_fallocate")
CALLS += ("pwrite", "rename", "rmdir", "unlink", "utime")


class Killed(BaseException):
    """Nothing that is called from now on has any effect."""


class Death:
    """Counts the calls that change something; that of number `at` does not happen, and none after it."""

    def __init__(self, at: int | None) -> None:
        self.at = at
        self.calls = 0

    @property
    def over(self) -> bool:
        return self.at is not None and self.calls >= self.at

    def wrap(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            self.calls += 1
            if self.over:
                raise Killed
            return call(*args, **kwargs)

        return wrapped


@contextmanager
def death(at: int | None = None) -> Iterator[Death]:
    """Let the process die, seen from the disk, at the call of that number within the context."""
    counting = Death(at)
    patches = [mock.patch.object(os, name, counting.wrap(getattr(os, name))) for name in CALLS]
    for patch in patches:
        patch.start()
    try:
        yield counting
    except Killed:
        pass
    finally:
        for patch in patches:
            patch.stop()


def everywhere(live: Callable[[], Any], prepare: Callable[[], Any], after: Callable[[int], Any]) -> int:
    """Die at each call of `live` in turn, and look `after`; how many deaths there were."""
    at = 0
    with mock.patch.object(os, "fsync", lambda fd: None):  # a kill costs nothing that was written
        while True:
            at += 1
            prepare()
            with death(at) as dying:
                live()
            after(at)
            if not dying.over:
                return at - 1
