"""Rate allowances: asked before bytes are read or written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Allowance(Protocol):
    """How many bytes may move now; one object may stand for many connections."""

    def take(self, wanted: int) -> int:
        """Allow between 0 and `wanted` bytes now, and count them as moved."""

    def wait(self, callback: Callable[[], None]) -> None:
        """Call `callback` once, never from inside this call, when `take` may allow more again."""


class Unlimited:
    """The allowance that grants everything, and so is never waited for."""

    def take(self, wanted: int) -> int:
        return wanted

    def wait(self, callback: Callable[[], None]) -> None:
        raise AssertionError("nobody waits for an allowance that grants everything")


UNLIMITED: Allowance = Unlimited()
