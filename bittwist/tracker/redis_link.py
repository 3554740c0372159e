"""One Redis server: dialed for as long as it is away, asked with a deadline, never too much at once.

txredisapi speaks the protocol. Importing it installs a reactor, so it is imported where a link is made.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from importlib import import_module
from random import Random
from typing import Protocol, cast

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import IAddress, IDelayedCall, IReactorTime, ITCPTransport
from twisted.internet.protocol import Factory
from twisted.internet.protocol import Protocol as TwistedProtocol
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from bittwist.address import split_host_port
from bittwist.errors import ConfigError, NetworkError, RemoteProtocolError
from bittwist.net.policy import Network
from bittwist.tracker.redis_script import SCRIPTS, Script, words_of
from bittwist.tracker.redis_settings import RedisSettings

FIRST_PAUSE = 0.1  # seconds before a lost server is dialed again; twice as long each time it does not answer
JITTER = 0.3  # the share of a pause that is left to chance: trackers that lost it together come back apart

_log = Logger()


class Asked(Protocol):
    """What the store asks: one server, or the nodes of a cluster."""

    @property
    def here(self) -> bool:
        """Is there somebody to ask?"""

    def start(self, came: Callable[[], None]) -> None:
        """Connect; `came` is called whenever there is somebody to ask, again perhaps."""

    def stop(self) -> Deferred[None]: ...

    def slot(self, key: bytes) -> int:
        """Keys of one slot can be given to a script together."""

    def ask(self, script: Script, keys: Sequence[bytes], words: Sequence[bytes]) -> Deferred[object]:
        """Run the script there: what it returns, or its error as a RemoteProtocolError.

        Raises, or fails with, NetworkError where the server is away, or not able to take more.
        """


class _Connection(Protocol):
    """What is used of txredisapi's protocol."""

    transport: ITCPTransport
    factory: _Connections
    replyReceived: Callable[[object], None]

    def whenConnected(self) -> Deferred[object]: ...

    def whenDisconnected(self) -> Deferred[object]: ...


class _Connections(Factory):
    """Makes one connection, and hears what txredisapi would tell a factory of its own."""

    noisy = False
    isLazy = False

    def __init__(self, settings: RedisSettings) -> None:
        self._settings = settings
        self.trouble: str | None = None

    def buildProtocol(self, addr: IAddress | None) -> TwistedProtocol:
        settings = self._settings
        connection = import_module("txredisapi").RedisProtocol(
            charset=None,
            convertNumbers=False,
            username=settings.username or None,
            password=settings.password or None,
            dbid=settings.database or None,
        )
        connection.factory = self
        return cast(TwistedProtocol, connection)

    def stopTrying(self) -> None:
        """The link decides by itself when to try again."""

    def connectionError(self, why: str) -> None:
        """The password or the database was refused."""
        self.trouble = why


class RedisLink:
    """A connection to `server` (HOST:PORT, or the path of a UNIX socket), kept for as long as it runs.

    Owns what was asked and is not answered.
    """

    def __init__(
        self,
        clock: IReactorTime,
        network: Network,
        server: str,
        settings: RedisSettings,
        random: Random,
    ) -> None:
        try:
            import_module("txredisapi")
        except ImportError as error:
            reason = f"needs txredisapi, which pip installs with bittwist[redis] ({error})"
            raise ConfigError("redis", "servers", reason) from error
        self._clock = clock
        self._network = network
        self.server = server
        self._settings = settings
        self._random = random
        self._life: Deferred[None] | None = None
        self._connection: _Connection | None = None
        self._waiting: deque[tuple[float, Deferred[object]]] = deque()
        self._deadline: IDelayedCall | None = None
        self.here = False

    def start(self, came: Callable[[], None], went: Callable[[], None] = lambda: None) -> None:
        """Dial, and again whenever the connection is lost; `went` is called then."""
        self._life = Deferred.fromCoroutine(self._live(came, went))

    def stop(self) -> Deferred[None]:
        """Close the connection; what is not answered by then fails."""
        life, self._life = self._life, None
        if life is None:
            return succeed(None)
        closed = succeed(None) if self._connection is None else self._connection.whenDisconnected()
        life.addErrback(lambda failure: failure.trap(CancelledError) and None)
        life.cancel()
        return closed.addCallback(lambda _: life)

    def slot(self, key: bytes) -> int:
        """As Asked says: there are no slots."""
        return 0

    def ask(self, script: Script, keys: Sequence[bytes], words: Sequence[bytes]) -> Deferred[object]:
        """As Asked says."""
        if not self.here:
            raise NetworkError(self.server, "is away")
        count = b"%d" % len(keys)
        reply = self.send((b"EVALSHA", script.name, count, *keys, *words))
        return reply.addErrback(self._taught, script, (count, *keys, *words))

    def send(self, words: Sequence[bytes]) -> Deferred[object]:
        """Any command, as `ask` does."""
        if self._connection is None:
            raise NetworkError(self.server, "is away")
        if len(self._waiting) >= self._settings.max_in_flight:
            raise NetworkError(self.server, f"{len(self._waiting)} commands wait for it already")
        result: Deferred[object] = Deferred()  # who cancels it does not hear of the reply
        self._waiting.append((self._clock.seconds(), result))
        if self._deadline is None:
            self._deadline = self._clock.callLater(self._settings.timeout, self._overdue)
        self._connection.transport.write(words_of(words))
        return result

    def _taught(self, failure: Failure, script: Script, rest: Sequence[bytes]) -> Deferred[object] | Failure:
        """A server that was restarted has forgotten the scripts: with its text, it learns this one."""
        if failure.check(RemoteProtocolError) is None or not str(failure.value).startswith("NOSCRIPT"):
            return failure
        return self.send((b"EVAL", script.text, *rest))

    async def _live(self, came: Callable[[], None], went: Callable[[], None]) -> None:
        pause = FIRST_PAUSE
        told = None
        while True:
            try:
                lost = await self._connect()
                self.here = True
                came()
                _log.info("Redis at {server} is here", server=self.server)
                pause, told = FIRST_PAUSE, None
                await lost
            except (NetworkError, RemoteProtocolError) as problem:
                if str(problem) != told:
                    told = str(problem)
                    _log.warn("Redis is away: {problem}", problem=told)
            finally:
                self._hang_up()
            went()
            await deferLater(self._clock, pause * (1 - JITTER * self._random.random()))
            pause = min(2 * pause, self._settings.longest_pause)

    async def _connect(self) -> Deferred[None]:
        """Dial, log in and teach it the scripts; what is returned fails when the connection is lost."""
        connections = _Connections(self._settings)
        settings = self._settings
        if self.server.startswith("/"):
            dialed = self._network.dial_path(self.server, connections, timeout=settings.timeout)
        else:
            host, port = split_host_port(self.server)
            dialed = self._network.dial_name(host, port, connections, timeout=settings.timeout)
        connection = cast(_Connection, await dialed)
        self._connection = connection
        ready: Deferred[None] = Deferred()
        lost: Deferred[None] = Deferred()
        late = self._clock.callLater(settings.timeout, connection.transport.abortConnection)

        def come(_: object) -> None:
            ready.callback(None)

        def go(_: object) -> None:
            problem = NetworkError(self.server, connections.trouble or "connection lost")
            self._connection = None
            self.here = False
            if not ready.called:
                ready.errback(problem)
            self._fail_waiting(problem)
            if not lost.called:
                lost.errback(problem)

        try:
            connection.whenDisconnected().addCallback(go)
            connection.whenConnected().addCallback(come)
            await ready
            connection.replyReceived = self._received
            for script in SCRIPTS:
                await self.send((b"SCRIPT", b"LOAD", script.text))
        except BaseException:
            lost.addErrback(lambda failure: failure.trap(NetworkError) and None)
            raise
        finally:
            if late.active():
                late.cancel()
        return lost

    def _received(self, reply: object) -> None:
        if not self._waiting:
            return self._hang_up()  # an answer that nobody asked for: from here on none would fit
        _, result = self._waiting.popleft()
        if isinstance(reply, Exception):
            result.errback(RemoteProtocolError(str(reply)))
        else:
            result.callback(reply)

    def _overdue(self) -> None:
        """Hang up if the oldest question is too old; else look again when it would be."""
        self._deadline = None
        if not self._waiting:
            return
        rest = self._waiting[0][0] + self._settings.timeout - self._clock.seconds()
        if rest > 0:
            self._deadline = self._clock.callLater(rest, self._overdue)
        elif self._connection is not None:
            self._connection.factory.trouble = f"no answer within {self._settings.timeout:g} seconds"
            self._hang_up()

    def _hang_up(self) -> None:
        self.here = False
        if self._connection is not None:
            self._connection.transport.abortConnection()

    def _fail_waiting(self, problem: NetworkError) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        waiting, self._waiting = self._waiting, deque()
        for _, result in waiting:
            result.errback(problem)
