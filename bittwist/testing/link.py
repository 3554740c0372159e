"""The way between two hosts: how long bytes take, how many fit, and whether any come through."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Protocol

from twisted.internet.interfaces import IDelayedCall

from bittwist.testing.clock import SteppingClock


@dataclass(frozen=True, slots=True)
class Link:
    """What a way is like, in each direction by itself.

    `latency` seconds one way; `jitter` more by chance (order is kept, as TCP does); `bandwidth` in bytes/s,
    shared by all connections between the two hosts, None for no limit.
    """

    latency: float = 0.01
    bandwidth: float | None = None
    jitter: float = 0.0


class Pipe:
    """A limit on bytes/s: whatever comes through waits for what came before it."""

    __slots__ = ("free_at", "rate")

    def __init__(self, rate: float | None = None) -> None:
        self.rate = rate
        self.free_at = 0.0

    def through(self, size: int, *, now: float) -> float:
        """When `size` bytes that come at `now` are through."""
        if self.rate is None:
            return now
        self.free_at = max(self.free_at, now) + size / self.rate
        return self.free_at


class Uplink:
    """A host's upload limit, shared in turns: one segment for each connection that has something to send."""

    def __init__(self, clock: SteppingClock) -> None:
        self.rate: float | None = None
        self._clock = clock
        self._free_at = 0.0
        self._waiting: deque[Callable[[], None]] = deque()
        self._serving = False
        self._turn: IDelayedCall | None = None

    def take(self, again: Callable[[], None]) -> bool:
        """Whether a segment may go now; if not, `again` is called when it is that caller's turn."""
        if self.rate is None:
            return True
        if self._clock.seconds() >= self._free_at and (self._serving or not self._waiting):
            return True
        self._waiting.append(again)
        self._next_turn()
        return False

    def used(self, size: int) -> None:
        if self.rate is not None:
            self._free_at = max(self._free_at, self._clock.seconds()) + size / self.rate

    def _next_turn(self) -> None:
        if self._waiting and self._turn is None and not self._serving:
            self._turn = self._clock.call_at(self._free_at, self._serve)

    def _serve(self) -> None:
        self._turn = None
        self._serving = True
        try:
            self._waiting.popleft()()
        finally:
            self._serving = False
        self._next_turn()


class Sender(Protocol):
    """Who is told that what it sent moves again after a partition."""

    def moving(self) -> None: ...


class End(Protocol):
    """What a path needs of the hosts at its ends."""

    up: bool
    downlink: Pipe


class Path:
    """One direction between two hosts: what is carried arrives once, in order, late or after a partition."""

    def __init__(self, clock: SteppingClock, random: Random, source: End, target: End, link: Link) -> None:
        self.cut = False
        self._clock = clock
        self._random = random
        self._source = source
        self._target = target
        self._last_arrival = 0.0
        self._held: list[tuple[int, Sender | None, Callable[..., None], tuple[object, ...]]] = []
        self.link = link

    @property
    def link(self) -> Link:
        return self._link

    @link.setter
    def link(self, link: Link) -> None:
        self._link = link
        self._pipe = Pipe(link.bandwidth)

    @property
    def blocked(self) -> bool:
        """Nothing comes through: a partition, or one of the hosts is down."""
        return self.cut or not self._source.up or not self._target.up

    def carry(self, size: int, sender: Sender | None, deliver: Callable[..., None], *args: object) -> bool:
        """Call `deliver(*args)` over there when `size` bytes have come through; False if they are held.

        What is held goes when the way is free again, and `sender` is told so.
        """
        if self.blocked:
            self._held.append((size, sender, deliver, args))
            return False
        now = self._clock.seconds()
        arrival = self._pipe.through(size, now=now) + self._link.latency
        if self._link.jitter:
            arrival += self._random.random() * self._link.jitter
        self._last_arrival = arrival = max(arrival, self._last_arrival)
        if self._target.downlink.rate is None:
            self._clock.call_at(arrival, deliver, *args)
        else:
            self._clock.call_at(arrival, self._arrive, size, deliver, args)
        return True

    def release(self) -> None:
        """Send on what was held, if nothing blocks the way any more."""
        if self.blocked:
            return
        held, self._held = self._held, []
        for size, sender, deliver, args in held:
            if sender is not None:
                sender.moving()
            self.carry(size, sender, deliver, *args)

    def _arrive(self, size: int, deliver: Callable[..., None], args: tuple[object, ...]) -> None:
        through = self._target.downlink.through(size, now=self._clock.seconds())
        self._clock.call_at(through, deliver, *args)
