"""Swarms kept in Redis or Valkey, for several trackers: processes, or hosts behind one name.

An announce is one round trip: a script chooses and notes at once (tracker.redis_script), by the server's
clock. No script sees more than one torrent, since each may be on another node. So `totals` and `largest` are
what the trackers last noted of the swarms, some seconds ago; and the limits that go beyond one torrent
(`torrents_per_address`, `max_torrents`, `max_peers`) are kept by each process for those who announce to it:
by the same rule as in memory, and whom that evicts here, leaves Redis by a command of its own. Redis has
`maxmemory` besides (use `noeviction`: a full one refuses new peers).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from random import Random
from typing import TypeVar

from twisted.application.service import Service
from twisted.internet.defer import Deferred, FirstError, fail, gatherResults, maybeDeferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from bittwist.address import Address
from bittwist.announce.values import AnnounceRequest, Event, ScrapeEntry, quick
from bittwist.errors import NetworkError, RemoteProtocolError, TrackerFailure
from bittwist.net.policy import Network
from bittwist.tracker.interfaces import IRuledStore, ISwarmStore, SwarmAnswer, Totals
from bittwist.tracker.redis_cluster import RedisCluster
from bittwist.tracker.redis_link import Asked, RedisLink
from bittwist.tracker.redis_script import (
    ANNOUNCE,
    FORGET,
    LARGEST,
    NOTE,
    SCRAPE,
    TOTALS,
    announce_words,
    read_answer,
    read_sizes,
    torrent_keys,
)
from bittwist.tracker.redis_settings import RedisSettings
from bittwist.tracker.settings import TrackerSettings
from bittwist.tracker.swarms import FULL_RETRY, Swarms

__all__ = ["RedisSettings", "RedisSwarms", "redis_swarms"]

NOTE_EVERY = 5.0  # seconds between two notes of the sizes of swarms
MAX_NOTED = 100_000  # swarms in the next note; what does not fit is noted at another announce
NOTED_AT_ONCE = 250  # by one command: a millisecond of the server's time
MAX_MISSED = 100_000  # announces kept for a Redis that is away: about 60 MB at most
TOLD_AT_ONCE = 100  # of them, in one turn of the reactor
SWEEP_EVERY = 30.0  # seconds between the passes over what is known here

_AWAY = (NetworkError, RemoteProtocolError)
_T = TypeVar("_T")
_log = Logger()


def redis_swarms(
    clock: IReactorTime, network: Network, settings: RedisSettings, rules: TrackerSettings, random: Random
) -> RedisSwarms:
    """The store of these settings, which name a server. ConfigError where txredisapi is missing."""
    servers: Asked
    if settings.cluster:
        servers = RedisCluster(clock, network, settings, random)
    else:
        servers = RedisLink(clock, network, settings.servers[0], settings, random)
    return RedisSwarms(clock, servers, settings, rules, random)


@implementer(ISwarmStore, IRuledStore)
class RedisSwarms(Service):
    """A store to give to a `Tracker`, which starts and stops it; `redis_swarms` makes one.

    `rules` are the tracker's settings. Owns what this process knows by itself: for their limits, and for the
    time without Redis.
    """

    def __init__(
        self,
        clock: IReactorTime,
        servers: Asked,
        settings: RedisSettings,
        rules: TrackerSettings,
        random: Random,
    ) -> None:
        self._clock = clock
        self._servers = servers
        self._redis = settings
        self._random = random
        self._prefix = settings.prefix.encode()
        self._index = tuple(self._prefix + b"{swarms}" + name for name in (b"size", b"seen", b"total"))
        self._local = Swarms(clock.seconds, random, rules, evicted=self._give_up)
        self._settings = rules
        self._noted: dict[bytes, tuple[int, int]] = {}  # info hash -> seeds, leeches
        self._missed: dict[tuple[bytes, bytes], AnnounceRequest] = {}
        self._calls: dict[str, IDelayedCall] = {}
        self._telling: Deferred[None] | None = None
        self._trouble: str | None = None

    @property
    def here(self) -> bool:
        """Does Redis answer, or what is left of a cluster?"""
        return self._servers.here

    @property
    def answers_alone(self) -> bool:
        """Are peers told of those known here while it does not?"""
        return self._redis.when_away == "local"

    @property
    def settings(self) -> TrackerSettings:
        """The tracker's settings, by which peers are chosen and expire."""
        return self._settings

    @settings.setter
    def settings(self, rules: TrackerSettings) -> None:
        self._settings = self._local.settings = rules

    def announce(self, request: AnnounceRequest) -> SwarmAnswer | Deferred[SwarmAnswer]:
        """As ISwarmStore says."""
        if self.here:
            self._local.announce(_in_silence(request))  # refuses, or gives others up, where that is too much
        try:
            answer = self._announce(request)
        except NetworkError:
            return self._known_here(request)
        if self._missed:
            self._missed.pop(_peer(request), None)
        return answer.addErrback(self._unanswered, request)

    def scrape(
        self, info_hashes: Sequence[bytes]
    ) -> dict[bytes, ScrapeEntry] | Deferred[dict[bytes, ScrapeEntry]]:
        """As ISwarmStore says; of a cluster each node is asked, all at once."""
        return Deferred.fromCoroutine(self._scrape(info_hashes))

    def totals(self) -> Deferred[Totals]:
        """As ISwarmStore says, of all trackers on this Redis; while it is away, of this process."""
        return Deferred.fromCoroutine(self._totals())

    def largest(self, count: int) -> Deferred[list[tuple[bytes, ScrapeEntry]]]:
        """As `totals`."""
        return Deferred.fromCoroutine(self._largest(count))

    def forget(self, info_hash: bytes) -> Deferred[None]:
        """As ISwarmStore says; fails with NetworkError while Redis is away."""
        return Deferred.fromCoroutine(self._forget(info_hash))

    def startService(self) -> None:
        super().startService()  # type: ignore[no-untyped-call]  # untyped in Twisted
        self._servers.start(self._came)
        self._call("note", NOTE_EVERY, self._note)
        self._call("sweep", SWEEP_EVERY, self._begin_sweep)

    def stopService(self) -> Deferred[None]:
        super().stopService()  # type: ignore[no-untyped-call]  # untyped in Twisted
        for call in self._calls.values():
            if call.active():
                call.cancel()
        self._calls.clear()
        return self._servers.stop()

    def _announce(self, request: AnnounceRequest) -> Deferred[SwarmAnswer]:
        assert request.address is not None
        six = request.address.is_ipv6
        rules = self._settings
        words = announce_words(
            request,
            expire_after=rules.expire_after,
            per_address=rules.peers_per_address,
            seeds_for_seeds=rules.seeds_meet_seeds,
            chance=self._random.getrandbits(31),
        )
        keys = torrent_keys(self._prefix, request.info_hash, six)
        return self._servers.ask(ANNOUNCE, keys, words).addCallback(self._answered, request.info_hash, six)

    def _answered(self, reply: object, info_hash: bytes, six: bool) -> SwarmAnswer:
        answer = read_answer(reply, six)
        self._trouble = None
        if len(self._noted) < MAX_NOTED or info_hash in self._noted:
            self._noted[info_hash] = (answer.complete, answer.incomplete)
        return answer

    def _unanswered(self, failure: Failure, request: AnnounceRequest) -> SwarmAnswer:
        failure.trap(*_AWAY)
        self._refused(failure)
        return self._known_here(request)

    def _refused(self, failure: Failure) -> None:
        """Say once what Redis has against it; a Redis that is full is as a tracker that is."""
        if failure.check(NetworkError):
            return  # the link has said so
        reason = str(failure.value)
        if reason.startswith("OOM"):
            raise TrackerFailure("this tracker has no room for another peer", FULL_RETRY)
        if reason != self._trouble:
            self._trouble = reason
            _log.error("Redis refuses: {reason}", reason=reason)

    def _known_here(self, request: AnnounceRequest) -> SwarmAnswer:
        """The answer while Redis is away."""
        if self._redis.when_away == "fail":
            raise TrackerFailure("this tracker cannot reach its peers now", self._redis.retry_in)
        answer = self._local.announce(request)
        self._miss(request)
        return answer

    def _miss(self, request: AnnounceRequest) -> None:
        """Redis is to be told of this, when it can be."""
        peer = _peer(request)
        if len(self._missed) < MAX_MISSED or peer in self._missed:
            self._missed[peer] = request

    def _give_up(self, info_hash: bytes, packed: bytes) -> None:
        """Of those that an address has here, or all have, this is one too many: it leaves Redis as well."""
        address = Address.unpack(packed)
        leaves = AnnounceRequest(info_hash, bytes(20), address.port, event=Event.STOPPED, address=address)
        self._miss(leaves)
        if self.here:
            self._tell(_peer(leaves), leaves).addErrback(self._not_told)

    def _came(self) -> None:
        """Redis can be asked, perhaps again: tell it who came and went meanwhile."""
        self._call("missed", 0, self._begin_telling)

    def _begin_telling(self) -> None:
        if self._telling is None:
            self._telling = Deferred.fromCoroutine(self._tell_missed())
            self._telling.addBoth(self._told)

    async def _tell_missed(self) -> None:
        """Some at a time, until all are told or Redis does not take them."""
        try:
            while self._missed and self.here:
                some = list(islice(self._missed.items(), TOLD_AT_ONCE))
                await _all([self._tell(peer, request) for peer, request in some])
        except _AWAY:
            """They are kept, and `_note` comes by."""

    def _told(self, result: object) -> None:
        self._telling = None
        if isinstance(result, Failure):
            _log.failure("Redis could not be told what it missed", result)

    def _tell(self, peer: tuple[bytes, bytes], request: AnnounceRequest) -> Deferred[None]:
        def heard(_: SwarmAnswer) -> None:
            if self._missed.get(peer) is request:  # else it has announced once more since
                del self._missed[peer]

        try:
            return self._announce(_in_silence(request)).addCallback(heard)
        except NetworkError as error:
            return fail(error)

    async def _scrape(self, info_hashes: Sequence[bytes]) -> dict[bytes, ScrapeEntry]:
        together: dict[int, list[bytes]] = {}
        for info_hash in dict.fromkeys(info_hashes):
            slot = self._servers.slot(torrent_keys(self._prefix, info_hash)[0])
            together.setdefault(slot, []).append(info_hash)
        keep = b"%d" % (self._settings.expire_after * 1000)
        asked = []
        try:
            for hashes in together.values():
                keys = [key for info_hash in hashes for key in torrent_keys(self._prefix, info_hash)]
                # A slot that no node holds fails like a connection, so that the others are waited for.
                asking = maybeDeferred(self._servers.ask, SCRAPE, keys, (keep,))
                asked.append(asking.addCallback(read_sizes, len(hashes)))
            replies = await _all(asked)
        except _AWAY:
            if self._redis.when_away == "fail":
                raise TrackerFailure(
                    "this tracker cannot reach its peers now", self._redis.retry_in
                ) from None
            return self._local.scrape(info_hashes)
        entries: dict[bytes, ScrapeEntry] = {}
        for hashes, sizes in zip(together.values(), replies):
            entries.update(zip(hashes, sizes))
        return {info_hash: entries[info_hash] for info_hash in info_hashes}

    async def _totals(self) -> Totals:
        try:
            match await self._servers.ask(TOTALS, self._index, ()):
                case [int(torrents), int(seeds), int(leeches)]:
                    return Totals(torrents, seeds, leeches)
                case reply:
                    raise RemoteProtocolError(f"Redis: no totals: {reply!r:.100}")
        except _AWAY:
            return self._local.totals()

    async def _largest(self, count: int) -> list[tuple[bytes, ScrapeEntry]]:
        if count < 1:
            return []
        try:
            found = await self._servers.ask(LARGEST, self._index, (b"%d" % count,))
        except _AWAY:
            return self._local.largest(count)
        hashes = (
            [info_hash for info_hash in found if isinstance(info_hash, bytes)]
            if isinstance(found, list)
            else []
        )
        entries = await self._scrape(hashes)
        return sorted(entries.items(), key=lambda item: -item[1].complete - item[1].incomplete)

    async def _forget(self, info_hash: bytes) -> None:
        self._local.forget(info_hash)
        self._missed = {peer: request for peer, request in self._missed.items() if peer[0] != info_hash}
        self._noted[info_hash] = (0, 0)
        await self._servers.ask(FORGET, torrent_keys(self._prefix, info_hash), ())

    def _note(self) -> None:
        """Tell Redis how large the swarms of the last announces are, for `totals` and `largest`."""
        self._call("note", NOTE_EVERY, self._note)
        if self._missed and self.here:
            self._begin_telling()
        while self._noted and self.here:
            noted = list(islice(self._noted.items(), NOTED_AT_ONCE))
            words = [b"%d" % self._local.expire_after]
            for info_hash, (seeds, leeches) in noted:
                words += (info_hash, b"%d" % seeds, b"%d" % leeches)
            try:
                self._servers.ask(NOTE, self._index, words).addErrback(self._not_noted)
            except NetworkError:
                return  # busy: the next time
            for info_hash, _ in noted:
                del self._noted[info_hash]

    def _not_told(self, failure: Failure) -> None:
        failure.trap(*_AWAY)  # it is missed, and told of later

    def _not_noted(self, failure: Failure) -> None:
        failure.trap(*_AWAY)  # noted again with the next announce to each swarm

    def _begin_sweep(self) -> None:
        self._continue_sweep(self._local.sweep())

    def _continue_sweep(self, sweep: Iterator[None]) -> None:
        for _ in sweep:  # one step a turn of the reactor, announces in between
            self._call("sweep", 0, self._continue_sweep, sweep)
            return
        self._call("sweep", SWEEP_EVERY, self._begin_sweep)

    def _call(self, name: str, delay: float, what: Callable[..., None], *args: object) -> None:
        """Later, unless the service has stopped by then; each name stands for one call."""
        pending = self._calls.get(name)
        if pending is not None and pending.active():
            pending.cancel()
        if self.running:
            self._calls[name] = self._clock.callLater(delay, what, *args)


_new_request = quick(AnnounceRequest)


def _peer(request: AnnounceRequest) -> tuple[bytes, bytes]:
    assert request.address is not None
    return (request.info_hash, request.address.packed)


def _in_silence(request: AnnounceRequest) -> AnnounceRequest:
    """The same announce, by who wants to be told of nobody; quicker than `replace`, once an announce."""
    return _new_request(
        info_hash=request.info_hash,
        peer_id=request.peer_id,
        port=request.port,
        left=request.left,
        event=request.event,
        numwant=0,
        address=request.address,
    )


async def _all(asked: Sequence[Deferred[_T]]) -> list[_T]:
    """All results, or the first failure."""
    try:
        return list(await gatherResults(asked, consumeErrors=True))
    except FirstError as error:
        error.subFailure.raiseException()
