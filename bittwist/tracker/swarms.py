"""The swarms of a tracker, in memory; pure, with clock and random given to the constructor."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from heapq import nlargest
from random import Random

from zope.interface import implementer

from bittwist.announce.values import AnnounceRequest, Event, ScrapeEntry
from bittwist.errors import TrackerFailure
from bittwist.tracker.interfaces import ISwarmStore, SwarmAnswer, Totals
from bittwist.tracker.peers import PackedPeers
from bittwist.tracker.settings import TrackerSettings

SLOTS_A_STEP = 2000  # peers looked at in one step of the sweep: about a millisecond
FULL_RETRY = 3600.0  # seconds to stay away from a full tracker


class _Swarm:
    """One info hash: its IPv4 peers, its IPv6 peers, and how often it was downloaded."""

    __slots__ = ("downloaded", "four", "six")

    def __init__(self) -> None:
        self.four = PackedPeers(6)
        self.six: PackedPeers | None = None  # most swarms have none
        self.downloaded = 0

    def family(self, packed: bytes) -> PackedPeers:
        if len(packed) == 6:
            return self.four
        if self.six is None:
            self.six = PackedPeers(18)
        return self.six

    @property
    def families(self) -> tuple[PackedPeers, ...]:
        return (self.four,) if self.six is None else (self.four, self.six)

    @property
    def complete(self) -> int:
        return sum(peers.seeds for peers in self.families)

    @property
    def incomplete(self) -> int:
        return sum(len(peers) - peers.seeds for peers in self.families)


@implementer(ISwarmStore)
class Swarms:
    """Who is in which swarm; owns all of it. `now` gives monotonic seconds.

    Peers who stay away leave with the next `sweep`. A swarm that nobody is in is forgotten, and with it
    how often it was downloaded: else any announce would cost memory for ever.
    """

    def __init__(self, now: Callable[[], float], random: Random, settings: TrackerSettings) -> None:
        self._now = now
        self._random = random
        self.settings = settings
        self._swarms: dict[bytes, _Swarm] = {}
        self._peers = 0

    @property
    def torrents(self) -> int:
        return len(self._swarms)

    @property
    def peers(self) -> int:
        return self._peers

    def announce(self, request: AnnounceRequest) -> SwarmAnswer:
        """As ISwarmStore says."""
        assert request.address is not None and request.numwant is not None
        packed = request.address.packed
        if request.event is Event.STOPPED:
            return self._leave(request.info_hash, packed)
        swarm = self._swarm(request.info_hash)
        peers = swarm.family(packed)
        self._admit(request, peers, packed, swarm)
        return self._answer(swarm, peers, packed, request)

    def scrape(self, info_hashes: Sequence[bytes]) -> dict[bytes, ScrapeEntry]:
        """As ISwarmStore says."""
        return {info_hash: self._entry(info_hash) for info_hash in info_hashes}

    def totals(self) -> Totals:
        """As ISwarmStore says."""
        seeds = sum(swarm.complete for swarm in self._swarms.values())
        return Totals(len(self._swarms), seeds, self._peers - seeds)

    def largest(self, count: int) -> list[tuple[bytes, ScrapeEntry]]:
        """As ISwarmStore says."""
        found = nlargest(count, self._swarms.items(), lambda item: item[1].complete + item[1].incomplete)
        return [(info_hash, self._entry(info_hash)) for info_hash, _ in found]

    def forget(self, info_hash: bytes) -> None:
        """As ISwarmStore says."""
        swarm = self._swarms.pop(info_hash, None)
        if swarm is not None:
            self._peers -= swarm.complete + swarm.incomplete

    def sweep(self) -> Iterator[None]:
        """Drop the peers who stayed away, a step at a time: iterate to the end, other work in between."""
        before = self._now() - self.settings.expire_after
        since_rest = 0
        for info_hash in list(self._swarms):
            swarm = self._swarms.get(info_hash)
            if swarm is None:
                continue
            for peers in swarm.families:
                slot = len(peers) - 1
                while slot >= 0:
                    held = len(peers)
                    slot = peers.expire(before, slot, SLOTS_A_STEP)
                    self._peers -= held - len(peers)
                    since_rest += SLOTS_A_STEP if slot >= 0 else held
                    if since_rest >= SLOTS_A_STEP:
                        since_rest = 0
                        yield
            self._forget_if_empty(info_hash, swarm)

    def _swarm(self, info_hash: bytes) -> _Swarm:
        swarm = self._swarms.get(info_hash)
        if swarm is None:
            if len(self._swarms) >= self.settings.max_torrents:
                raise TrackerFailure("this tracker has no room for another torrent", FULL_RETRY)
            swarm = self._swarms[info_hash] = _Swarm()
        return swarm

    def _admit(self, request: AnnounceRequest, peers: PackedPeers, packed: bytes, swarm: _Swarm) -> None:
        slot = peers.find(packed)
        was_seed = slot is not None and slot < peers.seeds
        if slot is None:
            if peers.peers_of_host(packed) >= self.settings.peers_per_address:
                peers.remove(peers.oldest_of_host(packed))
            elif self._peers >= self.settings.max_peers:
                self._forget_if_empty(request.info_hash, swarm)
                raise TrackerFailure("this tracker has no room for another peer", FULL_RETRY)
            else:
                self._peers += 1
        peers.put(packed, request.peer_id, request.is_seed, self._now())
        # Said twice, or by who was here as a seed, it is no further download.
        if request.event is Event.COMPLETED and request.is_seed and not was_seed:
            swarm.downloaded += 1

    def _leave(self, info_hash: bytes, packed: bytes) -> SwarmAnswer:
        swarm = self._swarms.get(info_hash)
        if swarm is None:
            return SwarmAnswer()
        peers = swarm.family(packed)
        slot = peers.find(packed)
        if slot is not None:
            peers.remove(slot)
            self._peers -= 1
        self._forget_if_empty(info_hash, swarm)
        return SwarmAnswer(swarm.complete, swarm.incomplete, swarm.downloaded)

    def _answer(
        self, swarm: _Swarm, own: PackedPeers, packed: bytes, request: AnnounceRequest
    ) -> SwarmAnswer:
        """The asker's own family first, since those it reaches for certain; the other fills what is left."""
        wanted = request.numwant or 0
        only_leeches = request.is_seed and not self.settings.seeds_meet_seeds
        found: dict[PackedPeers, list[int]] = {}
        for peers in (own, *(family for family in swarm.families if family is not own)):
            slots = peers.choose(wanted + 1, self._random, only_leeches=only_leeches)
            if peers is own:
                asker = peers.find(packed)
                slots = [slot for slot in slots if slot != asker]
            else:
                # Which of them is the asker's other address, only its id tells.
                slots = [slot for slot in slots if peers.peer_id(slot) != request.peer_id]
            # One more than wanted was drawn, so that leaving out the asker does not favour anybody.
            found[peers] = slots[:wanted]
            wanted -= len(found[peers])
        packs = {peers: b"".join([peers.address(slot) for slot in found[peers]]) for peers in swarm.families}
        ids: list[bytes] = []
        if not request.compact and not request.no_peer_id:
            ids = [peers.peer_id(slot) for peers in swarm.families for slot in found[peers]]
        return SwarmAnswer(
            complete=swarm.complete,
            incomplete=swarm.incomplete,
            downloaded=swarm.downloaded,
            peers4=packs[swarm.four],
            peers6=packs[swarm.six] if swarm.six is not None else b"",
            peer_ids=b"".join(ids),
        )

    def _entry(self, info_hash: bytes) -> ScrapeEntry:
        swarm = self._swarms.get(info_hash)
        if swarm is None:
            return ScrapeEntry()
        return ScrapeEntry(swarm.complete, swarm.downloaded, swarm.incomplete)

    def _forget_if_empty(self, info_hash: bytes, swarm: _Swarm) -> None:
        if not any(len(peers) for peers in swarm.families) and self._swarms.get(info_hash) is swarm:
            del self._swarms[info_hash]
