"""The tracker as a service: settings, hooks and a store, whatever front an announce comes in by."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from random import Random
from time import time
from typing import TypeVar, cast

from twisted.application.service import IService, Service
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.web.resource import IResource, Resource

from bittwist.address import Address
from bittwist.announce.values import AnnounceRequest, Event, ScrapeEntry
from bittwist.errors import TrackerFailure
from bittwist.net.site import SiteFront, SiteSettings, make_site
from bittwist.tracker.access import peer_address
from bittwist.tracker.browsers import Browsers
from bittwist.tracker.channel import QuickAnnounces
from bittwist.tracker.hybrids import Hybrids
from bittwist.tracker.interfaces import (
    Arrival,
    Front,
    IAnnounceHook,
    IRuledStore,
    ISwarmStore,
    Reply,
    SwarmAnswer,
    new_reply,
)
from bittwist.tracker.settings import TrackerSettings
from bittwist.tracker.snapshot import Snapshots, SnapshotSettings
from bittwist.tracker.statistics import Statistics
from bittwist.tracker.swarms import Swarms
from bittwist.tracker.threads import FilesReactor

T = TypeVar("T")

SWEEPS = 32  # in the time after which a peer counts as gone: so much longer, at most, it is told to others


class Tracker(Service):
    """A tracker. As a service it forgets peers who stay away; its fronts ask `announce` and `scrape`.

    `store` and `hooks` are a stranger's (tracker.interfaces); without a store it keeps the swarms in memory,
    and with a `snapshot` in a file too. `wall` gives seconds since the epoch.
    `hybrids` are those that its hooks know too; it declares those of its settings there.
    """

    def __init__(
        self,
        reactor: IReactorTime,
        settings: TrackerSettings | None = None,
        *,
        store: ISwarmStore | None = None,
        hooks: Sequence[IAnnounceHook] = (),
        hybrids: Hybrids | None = None,
        random: Random | None = None,
        snapshot: SnapshotSettings | None = None,
        wall: Callable[[], float] = time,
    ) -> None:
        self._reactor = reactor
        self._random = random or Random()
        self.settings = settings or TrackerSettings()
        self.statistics = Statistics()
        self._swarms = Swarms(reactor.seconds, self._random, self.settings) if store is None else None
        self.browsers = Browsers(self._random, self.settings)
        self._snapshots: Snapshots | None = None
        if snapshot is not None and snapshot.file is not None:
            if self._swarms is None:
                raise ValueError("file", "is for swarms in memory; a store of its own keeps them itself")
            threads = cast(FilesReactor, reactor)  # only who keeps files needs a reactor with threads
            self._snapshots = Snapshots(threads, self._swarms, snapshot.file, snapshot.every, wall=wall)
        self.store: ISwarmStore = store if store is not None else ISwarmStore(self._swarms)
        self.hooks = tuple(hooks)
        self.hybrids = hybrids or Hybrids()
        self._trusted = self.settings.trusted_networks()
        self.hybrids.declare(self.settings.one_swarm())
        self._sweep: Iterator[None] = iter(())
        self._next_step: IDelayedCall | None = None

    def apply(self, settings: TrackerSettings) -> None:
        """From now on, these settings."""
        self.settings = settings
        self._trusted = settings.trusted_networks()
        self.hybrids.declare(settings.one_swarm())
        self.browsers.settings = settings
        if IRuledStore.providedBy(self.store):
            IRuledStore(self.store).settings = settings

    def locate(self, host: str, request: AnnounceRequest, front: Front) -> Address:
        """The address of the peer whose request came from `host`; TrackerFailure where it cannot be that."""
        try:
            return peer_address(host, request, self._trusted, private=self.settings.private_ips)
        except TrackerFailure:
            self.statistics.announced(front, request, "refused", 0.0)
            raise

    def announce(self, request: AnnounceRequest, arrival: Arrival) -> Reply | Deferred[Reply]:
        """Note the peer and choose others for it; `request.address` is set. TrackerFailure where refused."""
        began = self._reactor.seconds()
        request = self._bounded(request)
        try:
            for position, hook in enumerate(self.hooks):
                verdict = hook.announcing(request, arrival)
                if isinstance(verdict, Deferred):
                    later = self._announce_later(request, arrival, verdict, self.hooks[position + 1 :])
                    return self._counted(Deferred.fromCoroutine(later), request, arrival, began)
            answer = self._ask(request, arrival)
        except Exception as error:
            self._count(request, arrival, error, began)
            raise
        if isinstance(answer, Deferred):
            return self._counted(answer.addCallback(self._reply, request, arrival), request, arrival, began)
        reply = self._reply(answer, request, arrival)
        self._count(request, arrival, None, began)
        return reply

    def scrape(
        self, info_hashes: Sequence[bytes], arrival: Arrival
    ) -> dict[bytes, ScrapeEntry] | Deferred[dict[bytes, ScrapeEntry]]:
        """The sizes of the first `max_scrape` of these swarms."""
        try:
            entries = self._scrape_allowed(info_hashes[: self.settings.max_scrape], arrival)
        except Exception as error:
            self.statistics.scraped(arrival.front, _outcome(error))
            raise
        if isinstance(entries, Deferred):

            def count(result: T) -> T:
                self.statistics.scraped(arrival.front, _outcome(getattr(result, "value", None)))
                return result

            return entries.addBoth(count)
        self.statistics.scraped(arrival.front)
        return entries

    def swarm(self, info_hash: bytes) -> bytes:
        """The hash under which the peers of this one are kept: its own, but for hybrids."""
        return self.hybrids.swarm(info_hash)

    def forget(self, info_hash: bytes) -> Deferred[None] | None:
        """Drop the swarm of this info hash, browsers among its peers."""
        info_hash = self.swarm(info_hash)
        self.browsers.forget(info_hash)
        return self.store.forget(info_hash)

    def resource(self) -> IResource:
        """The tracker over HTTP, to mount in any Site: as its root, or as "announce" (and "scrape")."""
        from bittwist.tracker.resource import TrackerResource  # imports klein, which installs a reactor

        return TrackerResource(self)

    def site(self, settings: SiteSettings | None = None, root: Resource | None = None) -> SiteFront:
        """A factory to listen with: the tracker over HTTP, quicker than its resource in a Site is.

        With a `root` of your own it is mounted there as "announce" and "scrape".
        """
        if root is None:
            return make_site(self._reactor, self.resource(), settings, QuickAnnounces(self))
        for name in (b"announce", b"scrape"):
            root.putChild(name, self.resource())
        return make_site(self._reactor, root, settings, QuickAnnounces(self, mounted=True))

    def startService(self) -> None:
        super().startService()  # type: ignore[no-untyped-call]  # untyped in Twisted
        if IService.providedBy(self.store):
            self.store.startService()  # type: ignore[no-untyped-call]  # untyped in Twisted
        if self._snapshots is not None:
            self._snapshots.load()
            self._snapshots.start()
        if self._swarms is not None:
            self._await_sweep(self._swarms)

    def stopService(self) -> Deferred[None]:
        super().stopService()  # type: ignore[no-untyped-call]  # untyped in Twisted
        if self._next_step is not None:
            self._next_step.cancel()
            self._next_step = None
        if self._snapshots is not None:
            return self._snapshots.stop()
        return maybeDeferred(self.store.stopService if IService.providedBy(self.store) else lambda: None)

    def _bounded(self, request: AnnounceRequest) -> AnnounceRequest:
        settings = self.settings
        wanted = settings.numwant if request.numwant is None else min(request.numwant, settings.max_numwant)
        info_hash = self.hybrids.swarm(request.info_hash)
        if wanted == request.numwant and info_hash is request.info_hash:
            return request
        return replace(request, info_hash=info_hash, numwant=wanted)

    def _ask(self, request: AnnounceRequest, arrival: Arrival) -> SwarmAnswer | Deferred[SwarmAnswer]:
        if arrival.connection is None:
            return self.store.announce(request)
        self.browsers.announce(arrival.connection, request)
        entries = self.store.scrape((request.info_hash,))
        if isinstance(entries, Deferred):
            return entries.addCallback(_size_of, request.info_hash)
        return _size_of(entries, request.info_hash)

    def _reply(self, answer: SwarmAnswer, request: AnnounceRequest, arrival: Arrival) -> Reply:
        settings = self.settings
        answer = self.browsers.counted(answer, request.info_hash)
        warning: str | None = settings.warning or None
        for hook in self.hooks:
            warning = hook.announced(request, arrival, answer) or warning
        lonely = (
            not (request.is_seed or answer.peers4 or answer.peers6)
            and bool(request.numwant)  # who wants nobody waits for nobody
            and arrival.connection is None  # a browser is told of nobody: offers come to it
            and request.event not in (Event.STOPPED, Event.PAUSED)  # the latter has all it wants (BEP 21)
        )
        interval = settings.interval
        if lonely and settings.lonely_interval < interval:
            interval = settings.lonely_interval
        elif settings.jitter:
            # Peers that came together shall not come back together.
            interval += int(self._random.random() * settings.jitter * interval)
        return new_reply(
            swarm=answer,
            interval=interval,
            min_interval=min(settings.least_interval, interval),
            external_ip=request.address.host if settings.external_ip and request.address else None,
            warning=warning,
            tracker_id=settings.tracker_id.encode() or None,
        )

    def _scrape_allowed(
        self, info_hashes: Sequence[bytes], arrival: Arrival
    ) -> dict[bytes, ScrapeEntry] | Deferred[dict[bytes, ScrapeEntry]]:
        held = tuple(dict.fromkeys(map(self.swarm, info_hashes))) if self.hooks else ()
        for position, hook in enumerate(self.hooks):
            verdict = hook.scraping(held, arrival)
            if isinstance(verdict, Deferred):
                later = self._scrape_later(info_hashes, held, arrival, verdict, self.hooks[position + 1 :])
                return Deferred.fromCoroutine(later)
        return self._scrape(info_hashes)

    def _scrape(
        self, info_hashes: Sequence[bytes]
    ) -> dict[bytes, ScrapeEntry] | Deferred[dict[bytes, ScrapeEntry]]:
        if not self.hybrids.any:
            entries = self.store.scrape(info_hashes)
            if isinstance(entries, Deferred):
                return entries.addCallback(self.browsers.scraped)
            return self.browsers.scraped(entries)
        held = {info_hash: self.swarm(info_hash) for info_hash in info_hashes}
        entries = self.store.scrape(tuple(dict.fromkeys(held.values())))
        if isinstance(entries, Deferred):
            return entries.addCallback(self.browsers.scraped).addCallback(_under_their_names, held)
        return _under_their_names(self.browsers.scraped(entries), held)

    async def _announce_later(
        self,
        request: AnnounceRequest,
        arrival: Arrival,
        verdict: Deferred[None],
        hooks: Sequence[IAnnounceHook],
    ) -> Reply:
        await verdict
        for hook in hooks:
            after = hook.announcing(request, arrival)
            if isinstance(after, Deferred):
                await after
        answer = self._ask(request, arrival)
        if isinstance(answer, Deferred):
            answer = await answer
        return self._reply(answer, request, arrival)

    async def _scrape_later(
        self,
        info_hashes: Sequence[bytes],
        held: Sequence[bytes],
        arrival: Arrival,
        verdict: Deferred[None],
        hooks: Sequence[IAnnounceHook],
    ) -> dict[bytes, ScrapeEntry]:
        await verdict
        for hook in hooks:
            after = hook.scraping(held, arrival)
            if isinstance(after, Deferred):
                await after
        entries = self._scrape(info_hashes)
        return await entries if isinstance(entries, Deferred) else entries

    def _counted(
        self, reply: Deferred[Reply], request: AnnounceRequest, arrival: Arrival, began: float
    ) -> Deferred[Reply]:
        def count(result: object) -> object:
            self._count(request, arrival, getattr(result, "value", None), began)
            return result

        return reply.addBoth(count)

    def _count(
        self, request: AnnounceRequest, arrival: Arrival, error: Exception | None, began: float
    ) -> None:
        outcome = _outcome(error)
        self.statistics.announced(arrival.front, request, outcome, self._reactor.seconds() - began)

    def _begin_sweep(self, swarms: Swarms) -> None:
        self._sweep = swarms.sweep()
        self._continue_sweep(swarms)

    def _continue_sweep(self, swarms: Swarms) -> None:
        for _ in self._sweep:  # one step a turn of the reactor, announces in between
            self._next_step = self._reactor.callLater(0, self._continue_sweep, swarms)
            return
        self._await_sweep(swarms)

    def _await_sweep(self, swarms: Swarms) -> None:
        after = self.settings.expire_after / SWEEPS
        self._next_step = self._reactor.callLater(after, self._begin_sweep, swarms)


def _outcome(error: object) -> str:
    """What statistics call it that a request ended with this error, or with none."""
    match error:
        case None:
            return "answered"
        case TrackerFailure():
            return "refused"
        case CancelledError():  # by a front whose client has gone
            return "gone"
        case _:
            return "failed"


def _size_of(entries: dict[bytes, ScrapeEntry], info_hash: bytes) -> SwarmAnswer:
    entry = entries[info_hash]
    return SwarmAnswer(entry.complete, entry.incomplete, entry.downloaded)


def _under_their_names(
    entries: dict[bytes, ScrapeEntry], held: dict[bytes, bytes]
) -> dict[bytes, ScrapeEntry]:
    return {info_hash: entries[name] for info_hash, name in held.items()}
