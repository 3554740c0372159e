"""The nodes of a Redis Cluster, and which of them holds a key (the cluster specification's slots)."""

from __future__ import annotations

from binascii import crc_hqx
from collections.abc import Callable, Sequence
from random import Random

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from bittwist.address import split_host_port
from bittwist.errors import NetworkError, RemoteProtocolError
from bittwist.net.policy import Network
from bittwist.tracker.redis_link import RedisLink
from bittwist.tracker.redis_script import Script
from bittwist.tracker.redis_settings import RedisSettings

SLOTS = 16384
MAX_NODES = 1000  # what the specification recommends at most: a map that lists more is no map
REDIRECTS = 3  # followed for one command; slots move one at a time
LOOK_EVERY = 1.0  # seconds between two looks at the map while it has holes, or was found wrong

_log = Logger()


def slot_of(key: bytes) -> int:
    """By the part of the key in its first braces, if there is one, else by the whole of it."""
    start = key.find(b"{")
    end = key.find(b"}", start + 1)
    return crc_hqx(key[start + 1 : end] if start >= 0 and end > start + 1 else key, 0) % SLOTS


class RedisCluster:
    """Asks the node that holds a slot. Owns the links to the nodes, and the map of the slots.

    While a slot is being moved, the nodes run no script on its keys (TRYAGAIN): for that time it is as
    if its node were away.
    """

    def __init__(
        self,
        clock: IReactorTime,
        network: Network,
        settings: RedisSettings,
        random: Random,
    ) -> None:
        self._clock = clock
        self._network = network
        self._settings = settings
        self._random = random
        self._came: Callable[[], None] | None = None  # set while it runs
        self._links: dict[str, RedisLink] = {}
        self._slots: list[RedisLink | None] = [None] * SLOTS
        self._looking: Deferred[None] | None = None
        self._next_look: IDelayedCall | None = None
        for server in settings.servers:
            self._link(server)

    @property
    def here(self) -> bool:
        """Is there a node that holds slots?"""
        return any(link.here for link in self._links.values()) and any(self._slots)

    def start(self, came: Callable[[], None]) -> None:
        """As Asked says."""
        self._came = came
        for link in self._links.values():
            link.start(self._look_now, self._look_later)

    def stop(self) -> Deferred[None]:
        """As Asked says."""
        self._came = None
        if self._next_look is not None:
            self._next_look.cancel()
            self._next_look = None
        return gatherResults([link.stop() for link in self._links.values()]).addCallback(lambda _: None)

    def slot(self, key: bytes) -> int:
        """As Asked says."""
        return slot_of(key)

    def ask(self, script: Script, keys: Sequence[bytes], words: Sequence[bytes]) -> Deferred[object]:
        """As Asked says."""
        slot = slot_of(keys[0])
        link = self._slots[slot]
        if link is None:
            raise NetworkError(f"slot {slot}", "no node is known to hold it")
        return link.ask(script, keys, words).addErrback(self._redirected, script, keys, words, REDIRECTS)

    def _redirected(
        self, failure: Failure, script: Script, keys: Sequence[bytes], words: Sequence[bytes], left: int
    ) -> Deferred[object] | Failure:
        """A slot that has moved: ask the node that is named."""
        if failure.check(RemoteProtocolError) is None or not left:
            return failure
        match str(failure.value).split():
            case ["MOVED", str(slot), str(server)] if slot.isdigit() and int(slot) < SLOTS:
                link = self._slots[int(slot)] = self._link(server)
            case _:
                return failure
        self._look_later()
        return link.ask(script, keys, words).addErrback(self._redirected, script, keys, words, left - 1)

    def _link(self, server: str) -> RedisLink:
        link = self._links.get(server)
        if link is None:
            try:
                split_host_port(server)
            except ValueError as error:
                raise RemoteProtocolError(f"Redis: no node: {error}") from error
            if len(self._links) >= MAX_NODES:
                raise NetworkError(server, "more nodes than a cluster has")
            link = RedisLink(self._clock, self._network, server, self._settings, self._random)
            self._links[server] = link
            if self._came is not None:
                link.start(self._look_now, self._look_later)
        return link

    def _look_later(self) -> None:
        if self._next_look is None and self._came is not None:
            self._next_look = self._clock.callLater(LOOK_EVERY, self._look_now)

    def _look_now(self) -> None:
        """Ask any node that is here for the map."""
        if self._next_look is not None:
            if self._next_look.active():
                self._next_look.cancel()
            self._next_look = None
        if self._came is not None and self._looking is None:
            self._looking = Deferred.fromCoroutine(self._look())
            self._looking.addErrback(self._unseen).addBoth(self._looked)

    async def _look(self) -> None:
        here = [link for link in self._links.values() if link.here]
        if not here:
            return self._look_later()
        asked = self._random.choice(here)
        rows = await asked.send((b"CLUSTER", b"SLOTS"))
        slots: list[RedisLink | None] = [None] * SLOTS
        for first, last, server in _ranges(rows, split_host_port(asked.server)[0]):
            slots[first : last + 1] = [self._link(server)] * (last + 1 - first)
        self._slots = slots
        held = {link.server for link in slots if link is not None}
        for server in [*self._links]:
            if server not in held and server not in self._settings.servers:
                self._links.pop(server).stop()
        if self._came is not None:
            self._came()
        if not all(link is not None and link.here for link in {*slots}):
            self._look_later()

    def _looked(self, result: object) -> None:
        self._looking = None

    def _unseen(self, failure: Failure) -> None:
        failure.trap(NetworkError, RemoteProtocolError)
        _log.warn("the map of the Redis Cluster: {problem}", problem=failure.getErrorMessage())
        self._look_later()


def _ranges(rows: object, asked: str) -> list[tuple[int, int, str]]:
    """First slot, last slot and HOST:PORT of each row of CLUSTER SLOTS; without host it is who was asked."""
    found = []
    for row in rows if isinstance(rows, list) else []:
        match row:
            case [int(first), int(last), [bytes() | None as host, int(port), *_], *_] if (
                0 <= first <= last < SLOTS
            ):
                name = host.decode("ascii", "replace") if host else asked
                found.append((first, last, f"[{name}]:{port}" if ":" in name else f"{name}:{port}"))
            case _:
                raise RemoteProtocolError(f"Redis: no row of a map: {row!r:.100}")
    return found
