"""Ctrl-C and SIGTERM for a command, until it runs a reactor and `run` takes both."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

INTERRUPTED = 130  # exit code: 128 + SIGINT, as shells have it


class Interrupted(BaseException):
    """One of the two came.

    No KeyboardInterrupt: when one has passed through code that was made of a string, as that of dataclasses
    is, CPython ends itself by SIGINT, whoever has caught it.
    """


@contextmanager
def signals_interrupt() -> Iterator[None]:
    """Meanwhile either signal raises Interrupted."""
    usual = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
    # One that is ignored, or another's, is so because whoever started us wants it.
    ours = {number: was for number, was in usual.items() if signal.getsignal(number) is was}
    for number in ours:
        signal.signal(number, _interrupt)
    try:
        yield
    finally:
        for number, was in ours.items():
            signal.signal(number, was)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise Interrupted
