"""Where a torrent's peers come from: its sources, what each has found, and which a private torrent may use.

A private torrent (BEP 27) has no peer exchange, no local discovery and no DHT. It is told to one tracker at a
time, and parts from its peers when that is another one. What the user says holds all the same: peers named by
hand or by the link. So does who has dialed us: BEP 27 is about whom we dial, and we cannot know who has told
them of us. While the metadata of a magnet link is not known, it counts as private for these three
as long as it has a tracker, of the link's or the user's, unless `magnets_private_until_known` is off
(SECURITY.md F7). Without a tracker there is nobody whom that would protect, and no other way to find peers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from typing import Protocol
from urllib.parse import urlsplit

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from bittwist.address import Address
from bittwist.announce.values import AnnounceResponse
from bittwist.discovery.announcer import Announcer, TrackerStatus
from bittwist.discovery.lsd import LocalDiscovery
from bittwist.metainfo.info import Info
from bittwist.metainfo.infohash import InfoHash
from bittwist.metainfo.magnet import Magnet
from bittwist.metainfo.metainfo import Metainfo
from bittwist.session.conversation import Conversation
from bittwist.session.dialing import Dialing
from bittwist.session.introductions import Introductions
from bittwist.session.observe import Happening, PeersFound
from bittwist.session.peers import Peers
from bittwist.session.settings import SessionSettings
from bittwist.swarm.candidates import Candidates, Source
from bittwist.swarm.own_hosts import OwnHosts

NOT_FOR_PRIVATE = ("pex", "lsd", "dht")
MAX_LOCAL = 200  # addresses of one torrent kept of local discovery: anyone on the network can make them up


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """One source, to be shown: `name` is its kind, `detail` tells those of one kind apart.

    `found` are the addresses it was the first to name, `downloaded` the payload bytes of the peers there. The
    source "incoming" are peers that dialed us.
    """

    name: str
    detail: str
    state: str
    found: int
    downloaded: int
    error: str | None = None


class Around(Protocol):
    """What is needed of the session's surroundings."""

    @property
    def local(self) -> LocalDiscovery: ...
    @property
    def own_hosts(self) -> OwnHosts: ...
    @property
    def publish(self) -> Callable[[Happening], None]: ...
    def settings(self) -> SessionSettings: ...


class Subject(Protocol):
    """The torrent whose peers are looked for."""

    info_hash: InfoHash

    @property
    def info(self) -> Info | None: ...
    @property
    def tracker_tiers(self) -> tuple[tuple[str, ...], ...]: ...


class Finding:
    """Owns which sources of a torrent are in use, and what each has found."""

    _log = Logger()

    def __init__(
        self,
        around: Around,
        subject: Subject,
        candidates: Candidates,
        dialing: Dialing,
        peers: Peers,
        announcer: Callable[[Finding], Announcer],
    ) -> None:
        self._around = around
        self._subject = subject
        self._candidates = candidates
        self._dialing = dialing
        self._peers = peers
        self._found: Counter[Source] = Counter()
        self._running = False
        self._changing = False  # trackers are taken leave of, to be told again one at a time
        self._answered_by = ""  # the URL of the tracker that has told of peers last
        self._introductions = Introductions(self.found)
        self._announcer = announcer(self)

    @property
    def private(self) -> bool:
        """Whether only trackers may be asked for peers, as far as is known."""
        info = self._subject.info
        if info is not None:
            return info.private
        return self._around.settings().magnets_private_until_known and bool(self._subject.tracker_tiers)

    # Begun and ended with the torrent

    def start(self) -> None:
        """Look for peers, until `stop`."""
        self._running = True
        self._gate()
        if not self._changing:
            self._announcer.start()

    def completed(self) -> None:
        """The torrent has just become complete."""
        self._announcer.completed()

    def stop(self) -> Deferred[None]:
        """Fires when trackers are told."""
        self._running = False
        self._around.local.leave(self._subject.info_hash.short)
        return self._announcer.stop()

    def learned(self) -> None:
        """The metadata of a magnet link is known: whether the torrent is private, too."""
        if self.private:
            self._part_from_those_of(NOT_FOR_PRIVATE)
        if not self._running:
            return
        self._gate()
        if self.private and len(self._announcer.statuses()) > 1:
            # All were told until now.
            self._changing = True
            self._announcer.stop().addCallback(lambda _: self._begin_anew())

    def _part_from_those_of(self, sources: Collection[str]) -> None:
        """Have nothing to do with whom only these have named; whoever dialed us stays."""
        forgotten = self._candidates.forget(sources)
        self._dialing.give_up(forgotten)
        gone = frozenset(forgotten)

        def refusal(talk: Conversation) -> str | None:
            only_by_them = talk.outgoing and gone.issuperset(talk.dialed)
            return "the torrent is private" if only_by_them else None

        self._peers.part_from(refusal)

    def _begin_anew(self) -> None:
        self._changing = False
        if self._running:
            self._announcer.start()

    def _gate(self) -> None:
        """The one place that decides what is in use."""
        settings, private = self._around.settings(), self.private
        self._peers.introduce(self._introductions if settings.pex.enabled and not private else None)
        if settings.lsd.enabled and not private:
            self._around.local.join(self._subject.info_hash.short)
        else:
            self._around.local.leave(self._subject.info_hash.short)

    # What sources tell

    def found(self, addresses: Iterable[Address], source: str = "manual") -> None:
        """Peers may be there. What a private torrent must not use is passed over."""
        if source in NOT_FOR_PRIVATE and self.private:
            return
        if source == "lsd" and self._candidates.kept_of("lsd") >= MAX_LOCAL:
            return
        detail = self._answered_by if source == "tracker" else ""
        new = self._dialing.found(addresses, source, detail)
        if new:
            self._found[source, detail] += new
            self._around.publish(PeersFound(self._subject.info_hash, source, detail, new))

    def heard(self, url: str, answer: AnnounceResponse) -> None:
        """A tracker has answered; `found` is told its peers next."""
        tracker = urlsplit(url).hostname or ""
        if answer.external_ip is not None:
            self._around.own_hosts.told(answer.external_ip, by=tracker)
        before, self._answered_by = self._answered_by, url
        info = self._subject.info
        if info is not None and info.private and before and urlsplit(before).hostname != tracker:
            self._part()

    def _part(self) -> None:
        """Another tracker has taken over: only whom it names is a peer of a private torrent (BEP 27)."""
        self._candidates.forget(("tracker",))
        self._dialing.stop()
        self._peers.part_from(lambda _: "the private torrent has another tracker")
        if self._running:
            self._dialing.start()

    # What the user says

    def add_tracker(self, url: str, tier: int | None) -> bool:
        return self._announcer.add(url, tier)

    def remove_tracker(self, url: str) -> bool:
        return self._announcer.remove(url)

    def trackers_changed(self) -> None:
        """The torrent has other trackers: whether a link counts as private may have changed, too."""
        if self._running and self._subject.info is None:
            self._gate()

    # What is shown

    def trackers(self) -> tuple[TrackerStatus, ...]:
        return self._announcer.statuses()

    def statuses(self) -> tuple[SourceStatus, ...]:
        """Every source, trackers first, and of those that nobody turns on what they have brought."""
        fetched = self._peers.fetched()
        found = self._found

        def status(name: str, detail: str, state: str, error: str | None = None) -> SourceStatus:
            source = name, detail
            return SourceStatus(name, detail, state, found[source], fetched[source], error)

        settings = self._around.settings()
        local_error = self._around.local.error if self._running else None
        rows = [status("tracker", each.url, each.state.value, each.last_error) for each in self.trackers()]
        rows.append(status("pex", "", self._state(settings.pex.enabled)))
        rows.append(status("lsd", "", self._state(settings.lsd.enabled), local_error))
        shown = {(row.name, row.detail) for row in rows}
        others = sorted({source for source in (*found, *fetched) if source not in shown})
        rows += [
            status(name, detail, "on")
            for name, detail in others
            if found[name, detail] or fetched[name, detail]
        ]
        return tuple(rows)

    def _state(self, enabled: bool) -> str:
        if not enabled:
            return "off"
        if self.private:
            return "private" if self._subject.info is not None else "waiting"  # for the metadata
        return "on" if self._running else "stopped"


def with_tracker(source: Metainfo | Magnet, url: str, tier: int | None) -> Metainfo | Magnet:
    """The torrent, with one more tracker: last of that tier, or in a tier of its own."""
    if isinstance(source, Magnet):
        return replace(source, trackers=(*source.trackers, url))
    tiers = [list(each) for each in source.trackers]
    if tier is not None and 0 <= tier < len(tiers):
        tiers[tier].append(url)
    else:
        tiers.append([url])
    return replace(source, trackers=tuple(tuple(each) for each in tiers))


def without_tracker(source: Metainfo | Magnet, url: str) -> Metainfo | Magnet:
    """The torrent, without that tracker."""
    if isinstance(source, Magnet):
        return replace(source, trackers=tuple(each for each in source.trackers if each != url))
    tiers = (tuple(each for each in tier if each != url) for tier in source.trackers)
    return replace(source, trackers=tuple(tier for tier in tiers if tier))
