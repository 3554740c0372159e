"""Rate limits that many connections share, each of them in its turn.

A `Gate` is one limit, such as that of a torrent or of the whole session. A `Share` is what one connection
may move: it passes through all of its gates. While a gate has enough, taking costs a look at each. When it
has not, those who wait stand in line; every few hundredths of a second the first in line get equal portions,
and whoever wants more stands in line again. So connections that always want more get the same. A portion that
has passed one gate is kept while it waits at the next: nobody loses a place for a limit that is not its own.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Protocol

from twisted.internet.interfaces import IDelayedCall

from bittwist.net.bucket import TokenBucket

TICK = 0.04  # seconds between looks at a line, so that many are served at once
PORTION = 0.005  # seconds of a gate's rate that one portion is, within these bounds:
LEAST_PORTION = 1400  # bytes: a segment; smaller ones are mostly headers
MOST_PORTION = 64 << 10  # bytes


class Clock(Protocol):
    """What is asked of a reactor."""

    def seconds(self) -> float: ...
    def callLater(
        self, delay: float, callable: Callable[..., object], *args: object, **kwargs: object
    ) -> IDelayedCall: ...


class Gate:
    """One limit. Owns its bucket and the line before it; has a timer only while somebody is in line."""

    def __init__(self, clock: Clock, rate: float) -> None:
        """`rate` is in bytes a second, more than 0."""
        self._clock = clock
        self._bucket = TokenBucket(rate, now=clock.seconds())
        self._line: deque[Share] = deque()
        self._timer: IDelayedCall | None = None
        self._hurried = False  # the timer is due at once

    @property
    def rate(self) -> float:
        return self._bucket.rate

    @property
    def portion(self) -> int:
        return int(min(max(self._bucket.rate * PORTION, LEAST_PORTION), MOST_PORTION))

    def set_rate(self, rate: float) -> None:
        """A new limit from now on, for those in line as well."""
        if rate == self._bucket.rate:
            return
        self._bucket.set_rate(rate, now=self._clock.seconds())
        if self._timer is not None:
            self._stop_waiting()
            self._wait()

    # For shares

    def available(self, now: float) -> int:
        """What may be taken out of turn: nothing while others are in line."""
        return 0 if self._line else self._bucket.available(now)

    def take(self, amount: int) -> None:
        self._bucket.take(amount)

    def put_back(self, amount: int) -> None:
        """What is not used goes to the next in line without delay, who may be many that want little."""
        self._bucket.put_back(amount)
        if self._timer is None or self._hurried:
            return
        if self._bucket.available(self._clock.seconds()) >= self._portion_of(self._line[0]):
            self._hurried = True
            self._timer.reset(0)

    def enter(self, share: Share) -> None:
        """Stand in line; `share` is told by `passes` and `call`, never from inside this call."""
        self._line.append(share)
        self._wait()

    def leave(self, share: Share) -> None:
        """Stand in line no more."""
        self._line.remove(share)
        if not self._line:
            self._stop_waiting()

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._hurried = False

    def _wait(self) -> None:
        if self._timer is None and self._line:
            needed = self._bucket.until(self._portion_of(self._line[0]), now=self._clock.seconds())
            self._timer = self._clock.callLater(max(TICK, needed), self._serve)

    def _portion_of(self, share: Share) -> int:
        return min(share.needs, int(self._bucket.burst) // 2)

    def _serve(self) -> None:
        self._timer = None
        self._hurried = False
        left = self._bucket.available(self._clock.seconds())
        served: list[tuple[Share, int]] = []
        while self._line:
            amount = self._portion_of(self._line[0])
            if amount > left:
                break
            self._bucket.take(amount)
            left -= amount
            served.append((self._line.popleft(), amount))
        self._wait()
        through = [share for share, amount in served if share.passes(amount)]
        # Last, since these may do anything. Who is first may find something left: another one each time.
        for share in (*through[1:], *through[:1]):
            share.call()


class Share:
    """An Allowance within gates, for one connection or for several that count as one.

    Owns the portion it was given and has not handed out yet.
    """

    def __init__(self, clock: Clock) -> None:
        self.free = True
        self._clock = clock
        self._gates: tuple[Gate, ...] = ()
        self._portion = MOST_PORTION
        self._credit = 0  # passed through all gates
        self._arrears = 0  # what it could not use of its last turn; its next is so much larger
        self._passing = 0  # passed through those before `_at`
        self._at: int | None = None  # the gate that it stands in line for
        self._callbacks: list[Callable[[], None]] = []
        self._soon: IDelayedCall | None = None

    def lead_through(self, gates: tuple[Gate, ...]) -> None:
        """From now on these gates limit it; none, nothing."""
        # As large as in the line of those whom only the widest gate limits.
        self._portion = max([gate.portion for gate in gates], default=MOST_PORTION)
        if gates == self._gates:
            return
        self._step_out()
        self.give_back(0)
        self._arrears = 0
        self._gates = gates
        self.free = not gates
        if self._callbacks:
            self._begin()

    def close(self) -> None:
        """It is needed no more: what it holds goes back, and nobody is called."""
        self._callbacks.clear()
        self.lead_through(())
        if self._soon is not None:
            self._soon.cancel()
            self._soon = None

    # Allowance

    def take(self, wanted: int) -> int:
        if self._credit:
            taken = min(wanted, self._credit)
            self._credit -= taken
            return taken
        if self._at is not None:
            return 0
        if not self._gates:
            return wanted
        now = self._clock.seconds()
        most = min(wanted, self._portion)  # no more than a turn brings
        taken = min([most, *[gate.available(now) for gate in self._gates]])
        if taken < min(most, LEAST_PORTION):
            return 0  # crumbs are not worth a call of the system
        for gate in self._gates:
            gate.take(taken)
        return taken

    def wait(self, callback: Callable[[], None]) -> None:
        self._callbacks.append(callback)
        if self._at is None and self._soon is None:
            self._begin()

    def give_back(self, unused: int) -> None:
        unused += self._credit
        self._credit = 0
        if unused:
            # A sender on the other side of the world may have let it miss a part of its turn.
            self._arrears = min(unused, self._portion)
            self._put_back(unused)

    # For gates

    @property
    def needs(self) -> int:
        """How large a portion it waits for."""
        return self._passing if self._at else self._portion + self._arrears

    def passes(self, amount: int) -> bool:
        """Its turn came: `amount` was taken from the gate it stood before. Whether that was the last one."""
        assert self._at is not None
        for passed in self._gates[: self._at]:
            passed.put_back(self._passing - amount)
        self._passing = amount
        now = self._clock.seconds()
        for at in range(self._at + 1, len(self._gates)):
            if self._gates[at].available(now) < amount:
                self._enter(at)
                return False
            self._gates[at].take(amount)
        self._at, self._passing, self._arrears = None, 0, 0
        self._credit += amount
        return True

    def call(self) -> None:
        """Tell those who wait."""
        callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()

    def _begin(self) -> None:
        """To the first gate; where there is none, the callers are called soon."""
        if self._gates:
            self._enter(0)
        elif self._soon is None:
            self._soon = self._clock.callLater(0, self._call_soon)

    def _enter(self, at: int) -> None:
        self._at = at
        self._gates[at].enter(self)

    def _step_out(self) -> None:
        """Out of line; what the gates before have given goes back to them."""
        if self._at is None:
            return
        self._gates[self._at].leave(self)
        for passed in self._gates[: self._at]:
            passed.put_back(self._passing)
        self._at, self._passing = None, 0

    def _put_back(self, amount: int) -> None:
        for gate in self._gates:
            gate.put_back(amount)

    def _call_soon(self) -> None:
        self._soon = None
        self.call()
