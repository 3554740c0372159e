"""`--workers N`: one process that starts others, which share the ports, and sees that they run.

The workers are told everything by their parent over standard input, whose end is the parent's: however that
comes, they end too. What they log, the parent logs.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from secrets import token_hex
from typing import cast

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList, gatherResults, maybeDeferred
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.interfaces import (
    IDelayedCall,
    IListeningPort,
    IProcessTransport,
    IReactorProcess,
    IReactorTime,
)
from twisted.internet.protocol import DatagramProtocol, Factory, ProcessProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from bittwist.app.tracker_listen import ListenSettings
from bittwist.errors import ConfigError, NetworkError
from bittwist.net.policy import Network
from bittwist.tracker.admin_places import at_home, worker_endpoint
from bittwist.tracker.datagram import parse_udp
from bittwist.tracker.redis_settings import RedisSettings

MAX_WORKERS = 256  # more than one machine's processors
SHAREABLE = {"tcp", "tcp4", "tcp6", "ssl"}
INHERITED = {"systemd", "stdio"}  # what is open before a process starts
FIRST_PAUSE = 0.5  # seconds until a worker that ended is started again; twice as long each time it ends soon
LONGEST_PAUSE = 30.0
WELL_AFTER = 60.0  # seconds that a worker runs before its next end counts as its first
STOP_WITHIN = 10.0  # seconds a worker has to end by itself
MAX_LINE = 64 << 10  # of a worker's log; what is longer is two lines

_log = Logger()


@dataclass(frozen=True, slots=True)
class Hello:
    """What a worker is told: its number, its command line, its reactor, and the secret all have in common."""

    number: int
    words: tuple[str, ...]
    reactor: str
    secret: str

    def encode(self) -> bytes:
        return json.dumps([self.number, self.words, self.reactor, self.secret]).encode() + b"\n"

    @classmethod
    def decode(cls, line: bytes) -> Hello:
        number, words, reactor, secret = json.loads(line)
        return cls(number, tuple(words), reactor, secret)


def check_shareable(listen: ListenSettings, count: int, redis: RedisSettings, file: str) -> None:
    """ConfigError where so many workers could not share these places, or have nothing to share swarms in."""
    if not redis.servers:
        raise ConfigError(file, "workers", "they share their swarms in Redis: redis.servers must be set")
    for description in listen.http:
        kind, *words = description.split(":")
        if kind not in SHAREABLE:
            raise ConfigError(file, "workers", f"{description!r} is not tcp: or ssl:, which they can share")
        if "port=0" in words or words[:1] == ["0"]:
            raise ConfigError(file, "workers", f"{description!r}: each would have a port of its own")
    for place in listen.udp:
        if not parse_udp(place)[1]:
            raise ConfigError(file, "workers", f"udp {place}: each would have a port of its own")
    for description in listen.ws:
        if description.removeprefix("haproxy:").partition(":")[0] in INHERITED:
            raise ConfigError(file, "listen.ws", f"{description!r} is ours, and not handed on to a worker")
    try:
        places_of_admin(listen, count)
    except ValueError as error:
        raise ConfigError(file, "listen.admin", str(error)) from error


def places_of_admin(listen: ListenSettings, count: int) -> list[str]:
    """Where the admin ports of so many workers are; ValueError where an endpoint cannot be counted up."""
    numbers = range(1, count + 1)
    return [
        worker_endpoint(at_home(description), number) for description in listen.admin for number in numbers
    ]


class Workers(Service):
    """So many processes with this command line, each started again when it ends.

    Before the first is started the places are tried: NetworkError if another program has one.
    """

    def __init__(
        self,
        reactor: IReactorTime,
        network: Network,
        count: int,
        words: Sequence[str],
        listen: ListenSettings,
    ) -> None:
        self._reactor = reactor
        self._network = network
        self._listen = listen
        common = (tuple(words), type(reactor).__module__, token_hex(32))
        self._folder = os.getcwd()  # relative paths in the words are from here
        self._workers = [_Worker(self, Hello(number, *common)) for number in range(1, count + 1)]

    @property
    def pids(self) -> tuple[int, ...]:
        """The processes that run now."""
        return tuple(worker.pid for worker in self._workers if worker.pid is not None)

    def privilegedStartService(self) -> None:
        super().privilegedStartService()  # type: ignore[no-untyped-call]  # untyped in Twisted
        listen = self._listen
        streams = {"http": listen.http, "ws": listen.ws, "admin": places_of_admin(listen, len(self._workers))}
        failures: list[NetworkError] = []
        opened: list[IListeningPort] = []

        def failed(failure: Failure, key: str, target: str) -> None:
            error = failure.trap(NetworkError) and failure.value
            assert isinstance(error, NetworkError)
            failures.append(NetworkError(f"listen.{key}: {target}", error.reason))

        for key, places in streams.items():
            for description in places:
                listening = self._network.listen_on(description, _TriedFactory())
                listening.addCallbacks(opened.append, failed, errbackArgs=(key, description))
        for place in listen.udp:
            try:
                opened.append(self._network.listen_udp(*parse_udp(place), _TriedProtocol()))
            except NetworkError as error:
                failures.append(NetworkError(f"listen.udp: {error.target}", error.reason))
        self._tried = gatherResults([maybeDeferred(port.stopListening) for port in opened])
        if failures:
            raise failures[0]

    def startService(self) -> None:
        super().startService()  # type: ignore[no-untyped-call]  # untyped in Twisted
        self._tried.addCallback(lambda _: self._start())

    def stopService(self) -> Deferred[None]:
        super().stopService()  # type: ignore[no-untyped-call]  # untyped in Twisted
        return DeferredList([worker.stop() for worker in self._workers]).addCallback(lambda _: None)

    def signal(self, name: str) -> None:
        """Send this signal ("HUP") to every worker."""
        for worker in self._workers:
            worker.signal(name)

    def call_later(self, delay: float, what: Callable[[], None]) -> IDelayedCall:
        return self._reactor.callLater(delay, what)

    def seconds(self) -> float:
        return self._reactor.seconds()

    def spawn(self, worker: _Worker) -> None:
        command = [sys.executable, "-m", "bittwist.app.tracker_worker"]
        spawning = cast(IReactorProcess, self._reactor)
        spawning.spawnProcess(worker, command[0], command, env=dict(os.environ), path=self._folder)

    def _start(self) -> None:
        if self.running:
            for worker in self._workers:
                self.spawn(worker)


class _TriedFactory(Factory):
    noisy = False


class _TriedProtocol(DatagramProtocol):
    noisy = False


class _Worker(ProcessProtocol):
    """One worker: a process, or the pause before the next."""

    def __init__(self, workers: Workers, hello: Hello) -> None:
        self._workers = workers
        self._number = hello.number
        self._hello = hello
        self._pause = FIRST_PAUSE
        self._began_at = 0.0
        self._next: IDelayedCall | None = None
        self._process: IProcessTransport | None = None
        self._ended: Deferred[None] | None = None
        self._text = b""

    @property
    def pid(self) -> int | None:
        return None if self._process is None else cast(int, self._process.pid)

    def stop(self) -> Deferred[None]:
        ended: Deferred[None] = Deferred()
        if self._next is not None:
            self._next.cancel()
            self._next = None
        if self._process is None:
            ended.callback(None)
            return ended
        self._ended = ended
        self.signal("TERM")
        late = self._workers.call_later(STOP_WITHIN, lambda: self.signal("KILL"))
        return ended.addCallback(lambda _: late.cancel() if late.active() else None)

    def signal(self, name: str) -> None:
        if self._process is not None:
            try:
                self._process.signalProcess(name)
            except ProcessExitedAlready:
                """We shall hear of it."""

    def connectionMade(self) -> None:
        self._process = self.transport
        assert self._process is not None
        self._began_at = self._workers.seconds()
        self._process.writeToChild(0, self._hello.encode())
        _log.info("worker {number} is process {pid}", number=self._number, pid=self.pid)

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        *lines, self._text = (self._text + data).split(b"\n")
        if len(self._text) > MAX_LINE:
            lines.append(self._text)
            self._text = b""
        for line in lines:
            self._say(line)

    def processEnded(self, reason: Failure) -> None:
        self._process = None
        if self._text:
            self._say(self._text)
            self._text = b""
        if self._ended is not None:
            self._ended.callback(None)
            return
        if self._workers.seconds() - self._began_at >= WELL_AFTER:
            self._pause = FIRST_PAUSE
        told = "worker {number} has ended ({reason}); another follows in {pause:g} s"
        _log.error(told, number=self._number, reason=reason.getErrorMessage(), pause=self._pause)
        self._next = self._workers.call_later(self._pause, self._again)
        self._pause = min(2 * self._pause, LONGEST_PAUSE)

    def _again(self) -> None:
        self._next = None
        self._workers.spawn(self)

    def _say(self, line: bytes) -> None:
        _log.info("worker {number}: {line}", number=self._number, line=line.decode(errors="replace"))
