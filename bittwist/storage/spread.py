"""Blocking work on several threads, for callers that have no reactor."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import CancelledError
from threading import Lock, Thread
from typing import Generic, TypeVar

T = TypeVar("T")

LOOK_EVERY = 0.1  # seconds between reports of progress, and looks at whether to go on


def cores() -> int:
    """How many threads can run at once here."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def spread(
    jobs: Iterable[T],
    work: Callable[[T], None],
    *,
    threads: int,
    look: Callable[[], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> None:
    """Call `work` with each of `jobs`, on `threads` threads, roughly in order; `look` is called meanwhile.

    `look` and `cancelled` run in the caller's thread. What `work` raises first is raised here, and
    concurrent.futures.CancelledError once `cancelled` says so; no thread outlives the call.
    """
    crew = _Crew(jobs, work)
    running = [Thread(target=crew.run, name=f"spread-{number}") for number in range(threads)]
    try:
        for thread in running:
            thread.start()
        for thread in running:
            alive = True
            while alive:
                if cancelled is not None and cancelled():
                    raise CancelledError
                thread.join(LOOK_EVERY)
                alive = thread.is_alive()
                if look is not None:
                    look()  # the last time after all is done
    finally:
        crew.stopped = True
        for thread in running:
            if thread.is_alive():  # an interruption may have come before all were started
                thread.join()
    if crew.error is not None:
        raise crew.error


class _Crew(Generic[T]):
    """What the threads share."""

    def __init__(self, jobs: Iterable[T], work: Callable[[T], None]) -> None:
        self._jobs = iter(jobs)
        self._work = work
        self._lock = Lock()
        self.stopped = False
        self.error: BaseException | None = None

    def run(self) -> None:
        while not self.stopped:
            with self._lock:
                try:
                    job = next(self._jobs)
                except StopIteration:
                    return
            try:
                self._work(job)
            except BaseException as error:  # raised again by the caller's thread
                self.error = self.error or error
                self.stopped = True
