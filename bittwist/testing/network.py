"""A network in memory: hosts, the ways between them, and one clock for all."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable
from ipaddress import ip_address
from itertools import product
from random import Random
from typing import TypeVar

from twisted.internet.defer import Deferred
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from twisted.python.failure import Failure
from zope.interface import implementer

from bittwist.testing.clock import SteppingClock
from bittwist.testing.host import Host
from bittwist.testing.link import Link, Path
from bittwist.testing.names import Names

_T = TypeVar("_T")

DEFAULT_LINK = Link()
LOOPBACK = Link(latency=0.00002)  # not nothing, so that two ends of one host cannot stop time
WINDOW = 256 << 10  # bytes under way and unread on a connection: about a kernel's buffers, both ends together


class Stalled(AssertionError):
    """What a test waited for did not come about in time."""


class NotQuiet(AssertionError):
    """Something is left over at the end of a simulation."""


class SimulatedNetwork:
    """Hosts that are reactors, joined by links, in a time of their own.

    The same `seed` and the same program give the same run. With `random_segments`, what is sent is cut at
    random places, as a network may. Failures that anyone logs while time passes are collected in `failures`.
    """

    def __init__(
        self,
        seed: int = 0,
        clock: SteppingClock | None = None,
        *,
        link: Link = DEFAULT_LINK,
        window: int = WINDOW,
        random_segments: bool = False,
    ) -> None:
        self.seed = seed
        self.clock = SteppingClock() if clock is None else clock
        self.random = Random(seed)
        self.default_link = link
        self.window = window
        self.names = Names()
        self.failures: list[Failure] = []
        self.hosts: list[Host] = []
        self._random_segments = random_segments
        self._by_address: dict[str, Host] = {}
        self._paths: dict[tuple[int, int], Path] = {}
        self._observer = _Failures(self.failures)

    # The network's shape

    def host(self, address: str, *more: str) -> Host:
        """The host that has this address; made with it, and `more` addresses, if there is none yet."""
        addresses = tuple(str(ip_address(a)) for a in (address, *more))
        known = self._by_address.get(addresses[0])
        if known is not None:
            if more and known.addresses != addresses:
                raise ValueError(f"{known!r} has other addresses: {known.addresses}")
            return known
        for a in addresses:
            if a in self._by_address or ip_address(a).is_loopback:
                raise ValueError(f"{a} is taken")
        host = Host(self, addresses)
        self.hosts.append(host)
        self._by_address.update(dict.fromkeys(addresses, host))
        return host

    def link(
        self,
        one: Host,
        other: Host,
        *,
        latency: float | None = None,
        bandwidth: float | None = None,
        jitter: float | None = None,
    ) -> None:
        """Set what the way between two hosts is like; what is not given is as in the default link."""
        default = self.default_link
        link = Link(
            default.latency if latency is None else latency,
            default.bandwidth if bandwidth is None else bandwidth,
            default.jitter if jitter is None else jitter,
        )
        self.path(one, other).link = link
        self.path(other, one).link = link

    def partition(self, some: Iterable[Host], others: Iterable[Host]) -> None:
        """Let nothing through between `some` and `others`: what is sent waits, as TCP would send it again."""
        for one, other in product(list(some), list(others)):
            self.path(one, other).cut = self.path(other, one).cut = True

    def heal(self) -> None:
        """Let everything through again."""
        for path in self._paths.values():
            path.cut = False
        self.release()

    # Time

    def seconds(self) -> float:
        return self.clock.seconds()

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass."""
        with self._observer:
            self.clock.advance(seconds)

    def run_until(self, predicate: Callable[[], object], limit: float = 60.0) -> float:
        """Let time pass, call by call, until `predicate()` is true; return how many seconds that took.

        Raises Stalled if it is not true after `limit` seconds of the simulation.
        """
        started = self.clock.seconds()
        with self._observer:
            while not predicate():
                if not self.clock.step(started + limit) and not predicate():
                    raise Stalled(f"not so after {limit} s (seed {self.seed})\n{self.left_over()}")
        return self.clock.seconds() - started

    def run_until_quiet(self, limit: float = 60.0) -> float:
        """Let time pass until no delayed call is left."""
        return self.run_until(lambda: self.clock.next_at() is None, limit)

    def result_of(self, deferred: Deferred[_T], limit: float = 60.0) -> _T:
        """Let time pass until `deferred` fires; return its result or raise its exception."""
        results: list[_T] = []
        failures: list[Failure] = []
        deferred.addCallbacks(results.append, failures.append)
        self.run_until(lambda: results or failures, limit)
        if failures:
            failures[0].raiseException()
        return results[0]

    # The end of a simulation

    def flush_failures(self, *types: type[BaseException]) -> list[Failure]:
        """Take out and return the failures logged so far, of these types or all."""
        taken = [f for f in self.failures if not types or f.check(*types)]
        self.failures[:] = [f for f in self.failures if f not in taken]
        return taken

    def assert_quiet(self) -> None:
        """Raise NotQuiet, saying what, if a delayed call, port, connection or failure is left."""
        with self._observer:
            gc.collect()  # a Deferred tells of its unhandled failure when it goes
        left = self.left_over()
        if left:
            raise NotQuiet(f"left over (seed {self.seed}):\n{left}")

    def left_over(self) -> str:
        """A line for each thing that `assert_quiet` would mind."""
        things: list[object] = [f"call {call}" for call in self.clock.getDelayedCalls()]
        for host in self.hosts:
            things += [*host.open_ports, *host.connecting, *host.connections]
        things += [f"failure {failure.getTraceback()}" for failure in self.failures]
        return "\n".join(map(str, things))

    # What hosts and connections ask

    def find(self, source: Host, address: str) -> Host | None:
        """Whom `source` reaches by that address."""
        return source if ip_address(address).is_loopback else self._by_address.get(address)

    def path(self, source: Host, target: Host) -> Path:
        key = (self.hosts.index(source), self.hosts.index(target))
        if key not in self._paths:
            link = LOOPBACK if source is target else self.default_link
            self._paths[key] = Path(self.clock, self.random, source, target, link)
        return self._paths[key]

    def release(self) -> None:
        """Send on what was held by a partition or a host that was down."""
        for path in list(self._paths.values()):
            path.release()

    def cut_at(self, limit: int) -> int:
        """How long the next segment is, of at most `limit` bytes."""
        return self.random.randint(1, limit) if self._random_segments else limit


@implementer(ILogObserver)
class _Failures:
    """Collects the failures that are logged while the simulation runs."""

    def __init__(self, failures: list[Failure]) -> None:
        self._failures = failures
        self._depth = 0

    def __call__(self, event: LogEvent) -> None:
        failure = event.get("log_failure")
        if isinstance(failure, Failure):
            self._failures.append(failure)

    def __enter__(self) -> None:
        self._depth += 1
        if self._depth == 1:
            globalLogPublisher.addObserver(self)

    def __exit__(self, *exception: object) -> None:
        self._depth -= 1
        if self._depth == 0:
            globalLogPublisher.removeObserver(self)
