"""The tracker as a service: settings, hooks and a store, whatever front an announce comes in by."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from random import Random

from twisted.application.service import Service
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.web.resource import IResource

from bittwist.address import Address
from bittwist.announce.values import AnnounceRequest, ScrapeEntry
from bittwist.tracker.access import peer_address
from bittwist.tracker.interfaces import IAnnounceHook, ISwarmStore, SwarmAnswer
from bittwist.tracker.settings import TrackerSettings
from bittwist.tracker.swarms import Swarms

SWEEP_EVERY = 30.0  # seconds between the passes that drop peers who stayed away


class Tracker(Service):
    """A tracker. As a service it forgets peers who stay away; its fronts ask `announce` and `scrape`.

    `store` and `hooks` are a stranger's (tracker.interfaces); without a store it keeps the swarms in memory.
    """

    def __init__(
        self,
        reactor: IReactorTime,
        settings: TrackerSettings | None = None,
        *,
        store: ISwarmStore | None = None,
        hooks: Sequence[IAnnounceHook] = (),
        random: Random | None = None,
    ) -> None:
        self._reactor = reactor
        self.settings = settings or TrackerSettings()
        self._swarms = Swarms(reactor.seconds, random or Random(), self.settings) if store is None else None
        self._store: ISwarmStore = store if store is not None else ISwarmStore(self._swarms)
        self._hooks = tuple(hooks)
        self._trusted = self.settings.trusted_networks()
        self._sweep: Iterator[None] = iter(())
        self._next_step: IDelayedCall | None = None

    def apply(self, settings: TrackerSettings) -> None:
        """From now on, these settings."""
        self.settings = settings
        self._trusted = settings.trusted_networks()
        if self._swarms is not None:
            self._swarms.settings = settings

    def locate(self, host: str, request: AnnounceRequest) -> Address:
        """The address of the peer whose request came from `host`."""
        return peer_address(host, request, self._trusted)

    def announce(self, request: AnnounceRequest) -> SwarmAnswer | Deferred[SwarmAnswer]:
        """Note the peer and choose others for it; `request.address` is set. TrackerFailure where refused."""
        settings = self.settings
        wanted = settings.numwant if request.numwant is None else min(request.numwant, settings.max_numwant)
        request = replace(request, numwant=wanted)
        for position, hook in enumerate(self._hooks):
            verdict = hook.announcing(request)
            if isinstance(verdict, Deferred):
                later = self._announce_later(request, verdict, self._hooks[position + 1 :])
                return Deferred.fromCoroutine(later)
        return self._store.announce(request)

    def scrape(
        self, info_hashes: Sequence[bytes]
    ) -> dict[bytes, ScrapeEntry] | Deferred[dict[bytes, ScrapeEntry]]:
        """The sizes of the first `max_scrape` of these swarms."""
        return self._store.scrape(info_hashes[: self.settings.max_scrape])

    def resource(self) -> IResource:
        """The tracker over HTTP, to mount in any Site: as its root, or as "announce" (and "scrape")."""
        from bittwist.tracker.resource import TrackerResource  # imports klein, which installs a reactor

        return TrackerResource(self)

    def startService(self) -> None:
        super().startService()  # type: ignore[no-untyped-call]  # untyped in Twisted
        if self._swarms is not None:
            self._next_step = self._reactor.callLater(SWEEP_EVERY, self._begin_sweep, self._swarms)

    def stopService(self) -> Deferred[None]:
        super().stopService()  # type: ignore[no-untyped-call]  # untyped in Twisted
        if self._next_step is not None:
            self._next_step.cancel()
            self._next_step = None
        return succeed(None)

    async def _announce_later(
        self, request: AnnounceRequest, verdict: Deferred[None], hooks: Sequence[IAnnounceHook]
    ) -> SwarmAnswer:
        await verdict
        for hook in hooks:
            after = hook.announcing(request)
            if isinstance(after, Deferred):
                await after
        answer = self._store.announce(request)
        return await answer if isinstance(answer, Deferred) else answer

    def _begin_sweep(self, swarms: Swarms) -> None:
        self._sweep = swarms.sweep()
        self._continue_sweep(swarms)

    def _continue_sweep(self, swarms: Swarms) -> None:
        for _ in self._sweep:  # one step a turn of the reactor, announces in between
            self._next_step = self._reactor.callLater(0, self._continue_sweep, swarms)
            return
        self._next_step = self._reactor.callLater(SWEEP_EVERY, self._begin_sweep, swarms)
