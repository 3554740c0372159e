"""A clock that moves only when told, from one delayed call to the next."""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable
from operator import attrgetter

from twisted.internet.base import DelayedCall
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import Clock

# Calls run while no time passes: more than this is a loop, and a test that hangs says nothing.
MAX_CALLS_AT_ONCE = 200_000

_time = attrgetter("time")


class SteppingClock(Clock):
    """Twisted's Clock, except that each call runs at its own time, and cheaply with many of them.

    `Clock.advance` moves to the end first, so that a call due in a second sees the end of the hour.
    `calls` stays sorted; calls due at the same time run in the order in which they were made.
    """

    calls: list[DelayedCall]

    def __init__(self) -> None:
        super().__init__()
        self._ran_now = 0

    def callLater(
        self, delay: float, callable: Callable[..., object], *args: object, **kw: object
    ) -> IDelayedCall:
        if delay < 0:
            raise ValueError(f"{delay} seconds: a call cannot be due in the past")
        return self.call_at(self.rightNow + delay, callable, *args, **kw)

    def call_at(
        self, due: float, callable: Callable[..., object], *args: object, **kw: object
    ) -> IDelayedCall:
        """Call at exactly `due`, or next if that is past: a difference of floats would lose the order."""
        due = max(due, self.rightNow)
        call = DelayedCall(due, callable, args, kw, self.calls.remove, self._moved_up, self.seconds)
        insort(self.calls, call, key=_time)
        return call

    def next_at(self) -> float | None:
        """When the next call is due; None if there is none."""
        while self.calls:
            first = self.calls[0]
            if not first.delayed_time:
                return float(first.time)
            # DelayedCall.reset to a later time tells nobody: the call is put back when met.
            self.calls.pop(0)
            first.activate_delay()
            insort(self.calls, first, key=_time)
        return None

    def step(self, until: float) -> bool:
        """Run the next call if it is due by `until`; else only move there. Whether one ran."""
        due = self.next_at()
        if due is None or due > until:
            self._move(until)
            return False
        self._move(due)
        self._ran_now += 1
        if self._ran_now > MAX_CALLS_AT_ONCE:
            raise RuntimeError(f"{self._ran_now} calls at {self.rightNow} s: {self.calls[0]} goes round")
        call = self.calls.pop(0)
        call.called = 1
        call.func(*call.args, **call.kw)
        return True

    def advance(self, amount: float) -> None:
        until = self.rightNow + amount
        while self.step(until):
            pass

    def _move(self, to: float) -> None:
        if to > self.rightNow:
            self.rightNow = to
            self._ran_now = 0

    def _moved_up(self, call: DelayedCall) -> None:
        self.calls.remove(call)
        insort(self.calls, call, key=_time)
