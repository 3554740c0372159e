"""Rate allowances: asked before bytes are read or written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Allowance(Protocol):
    """How many bytes may move now; one object may stand for many connections."""

    @property
    def free(self) -> bool:
        """All that is asked for is granted, so nobody need ask."""

    def take(self, wanted: int) -> int:
        """Allow between 0 and `wanted` bytes now, and count them as moved."""

    def wait(self, callback: Callable[[], None]) -> None:
        """Call `callback` once, never from inside this call, when `take` may allow more again."""

    def give_back(self, unused: int) -> None:
        """Of what was taken so much did not move, and there is nothing more to move now."""


class Allowances(Protocol):
    """Both directions of one connection."""

    @property
    def download(self) -> Allowance: ...
    @property
    def upload(self) -> Allowance: ...

    def joined(self, group: bytes) -> None:
        """The connection has turned out to belong to that group, which may have limits of its own."""

    def close(self) -> None:
        """The connection is gone; nothing is called any more."""


class Tap(Protocol):
    """Asked before bytes are read."""

    @property
    def free(self) -> bool:
        """As many as there are may be read."""

    def room(self) -> int:
        """How many may be read now; for 0 reading is paused until it may be more."""

    def unused(self, size: int) -> None:
        """So many less than that were there."""


class Unlimited:
    """The allowance that grants everything, and so is never waited for; in both directions."""

    free = True

    @property
    def download(self) -> Allowance:
        return self

    @property
    def upload(self) -> Allowance:
        return self

    def take(self, wanted: int) -> int:
        return wanted

    def wait(self, callback: Callable[[], None]) -> None:
        raise AssertionError("nobody waits for an allowance that grants everything")

    def give_back(self, unused: int) -> None:
        """There is as much as before."""

    def joined(self, group: bytes) -> None:
        """No group is limited."""

    def close(self) -> None:
        """There is nothing to let go of."""


class Open:
    """The tap that is never shut."""

    free = True

    def room(self) -> int:
        raise AssertionError("nobody asks a tap that is never shut")

    def unused(self, size: int) -> None:
        """There is as much as before."""


OPEN: Tap = Open()
NO_LIMITS = Unlimited()
UNLIMITED: Allowance = NO_LIMITS


def no_limits(host: str) -> Allowances:
    """The allowances of a connection with `host` where there are no limits."""
    return NO_LIMITS
