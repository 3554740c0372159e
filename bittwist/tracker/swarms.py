"""The swarms of a tracker, in memory; pure, with clock and random given to the constructor."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from heapq import heappush, heapreplace, nlargest
from itertools import islice
from random import Random

from zope.interface import implementer

from bittwist.announce.values import AnnounceRequest, Event, ScrapeEntry
from bittwist.errors import TrackerFailure
from bittwist.tracker.holdings import Holdings
from bittwist.tracker.interfaces import IRuledStore, ISwarmStore, SwarmAnswer, Totals, new_answer
from bittwist.tracker.patience import Patience
from bittwist.tracker.peers import LEECH, PARTIAL, SEED, PackedPeers, host_of
from bittwist.tracker.settings import TrackerSettings
from bittwist.tracker.swarm import SECOND, Portion, Swarm

FULL_RETRY = 3600.0  # seconds to stay away from a full tracker
EVICTIONS = 64  # entries that one announce may cost others: freeing as many never takes long
STEP = 20_000  # peers looked at in one step of the sweep: half a millisecond
BLOCK = 500  # peers looked at, and perhaps all removed, without a rest: some milliseconds
REMOVAL = 40  # peers that are looked at in the time one is removed
COPIED = 20_000  # peers copied in one step of a snapshot: a millisecond
PORTION = 60  # peers that are copied in the time a portion takes by itself
SORTED = 10_000  # swarms that are sorted when somebody asks for the largest: some milliseconds
LISTED = 1000  # of more swarms, so many of the largest are noted by each sweep


@implementer(ISwarmStore, IRuledStore)
class Swarms:
    """Who is in which swarm; owns all of it. `now` gives monotonic seconds.

    Peers who stay away leave with the next `sweep`. A swarm that nobody is in is forgotten, and with it
    how often it was downloaded: else any announce would cost memory for ever. A partial seed (BEP 21) is
    told of those who download only, as a seed is.

    What bounds the memory: an address has at most `peers_per_address` peers in a torrent, and is in at most
    `torrents_per_address` torrents; beyond that its own oldest go. Where `max_peers` or `max_torrents` is
    reached, a newcomer gets the place of the oldest entry of whoever holds about the most, if that is 64
    peers at least; where nobody does, newcomers are refused. So a flood from one address, or from a few,
    takes nothing from those who are in a few torrents, neither their places nor those to come. An address
    is an IPv4 address, or a /64 of IPv6. `evicted` is told of each entry (info hash, compact address) that
    goes for another torrent's sake.
    """

    def __init__(
        self,
        now: Callable[[], float],
        random: Random,
        settings: TrackerSettings,
        *,
        evicted: Callable[[bytes, bytes], None] = lambda info_hash, packed: None,
    ) -> None:
        self._now = now
        self._random = random
        self._settings = settings
        self.patience = Patience(settings.expire_after)
        self._evicted = evicted
        self._swarms: dict[bytes, Swarm] = {}
        self._numbered: list[Swarm | None] = []
        self._free: list[int] = []  # numbers
        self._holdings = Holdings(self._announced)
        self._largest: list[Swarm] = []
        self._stamp = -1
        self._peers = 0
        self._seeds = 0

    @property
    def settings(self) -> TrackerSettings:
        """The rules; new ones hold at once, but for those who were told a longer interval."""
        return self._settings

    @settings.setter
    def settings(self, settings: TrackerSettings) -> None:
        self._settings = settings
        self.patience.change(settings.expire_after, now=self._now())

    @property
    def expire_after(self) -> float:
        """Seconds after its last announce at which a peer counts as gone, now."""
        return self.patience.at(self._now())

    @property
    def torrents(self) -> int:
        return len(self._swarms)

    @property
    def peers(self) -> int:
        return self._peers

    def announce(self, request: AnnounceRequest) -> SwarmAnswer:
        """As ISwarmStore says."""
        assert request.address is not None
        packed = request.address.packed
        event = request.event
        if event is Event.STOPPED:
            return self._leave(request.info_hash, packed)
        kind = SEED if request.left == 0 else PARTIAL if event is Event.PAUSED else LEECH
        # No two announces have the same stamp, so the oldest is always one.
        self._stamp = stamp = max(self._stamp + 1, int(self._now() * SECOND))
        swarm = self._swarms.get(request.info_hash)
        slot = -1
        if swarm is not None:
            peers = swarm.family(packed)
            slot = peers.find(packed)
        if slot < 0 or swarm is None:
            self._admit(host_of(packed), request.info_hash, swarm)
            swarm = self._swarm(request.info_hash)
            peers = swarm.family(packed)
            slot = self._add(swarm, packed, request.peer_id, kind, stamp)
            held = None
        else:
            held = peers.kind(slot)
            slot = peers.renew(slot, request.peer_id, kind, stamp)
            if held != kind:
                self._seeds += (kind == SEED) - (held == SEED)
            if self._holdings.any_heavy:
                self._holdings.renew(host_of(packed), swarm.number)
        # Said twice, or by who was here as a seed, it is no further download.
        if event is Event.COMPLETED and kind == SEED and held != SEED:
            swarm.downloaded += 1
        return self._answer(swarm, peers, slot, kind, request)

    def scrape(self, info_hashes: Sequence[bytes]) -> dict[bytes, ScrapeEntry]:
        """As ISwarmStore says."""
        found = {}
        for info_hash in info_hashes:
            swarm = self._swarms.get(info_hash)
            found[info_hash] = ScrapeEntry(downloaders=0) if swarm is None else swarm.entry
        return found

    def totals(self) -> Totals:
        """As ISwarmStore says."""
        return Totals(len(self._swarms), self._seeds, self._peers - self._seeds)

    def largest(self, count: int) -> list[tuple[bytes, ScrapeEntry]]:
        """As ISwarmStore says; of more than 10,000 swarms at most 1000, those that the last sweep found."""
        swarms: list[Swarm] = list(islice(self._swarms.values(), SORTED))
        if len(self._swarms) > SORTED and self._largest:
            swarms = [swarm for swarm in self._largest if self._holds(swarm)]
        return [(swarm.info_hash, swarm.entry) for swarm in nlargest(count, swarms, lambda swarm: swarm.size)]

    def forget(self, info_hash: bytes) -> None:
        """As ISwarmStore says. The peers of a big swarm go with the next sweep, in steps."""
        swarm = self._swarms.get(info_hash)
        if swarm is None:
            return
        del self._swarms[info_hash]
        if swarm.size <= BLOCK:
            for peers in swarm.families:
                for slot in range(len(peers) - 1, -1, -1):
                    self._remove(swarm, peers, slot)
            self._retire_if_empty(swarm)

    def sweep(self) -> Iterator[None]:
        """Drop the peers who stayed away, a step at a time: iterate to the end, other work in between."""
        before = int((self._now() - self.expire_after) * SECOND)
        largest: list[tuple[int, int]] = []
        work = 0
        for number in range(len(self._numbered)):
            if work >= STEP:
                work = 0
                yield
            swarm = self._numbered[number]
            if swarm is None:
                work += 1
                continue
            # Of a swarm that is to be forgotten all peers go.
            limit = before if self._holds(swarm) else self._stamp + 1
            for peers in swarm.families:
                stop = len(peers)
                while stop > 0:
                    # What moves into a freed slot comes from above, where this pass has been. Only who
                    # becomes a seed or a leech between two steps may change places with a peer not
                    # looked at yet: the next pass finds that one.
                    start = max(0, stop - BLOCK)
                    gone = peers.gone(limit, start, stop)
                    for slot in gone:
                        self._remove(swarm, peers, slot)
                    work += stop - start + REMOVAL * len(gone)
                    if work >= STEP:
                        work = 0
                        yield
                    stop = min(start, len(peers))
            work += REMOVAL
            self._retire_if_empty(swarm)
            if len(largest) < LISTED:
                heappush(largest, (swarm.size, number))
            elif swarm.size > largest[0][0]:
                heapreplace(largest, (swarm.size, number))
        found = [self._numbered[number] for _, number in largest]
        self._largest = [swarm for swarm in found if swarm is not None]

    def portions(self) -> Iterator[list[Portion]]:
        """All there is, a step at a time: iterate to the end, other work in between.

        A peer that changes its kind between two steps may be missing, or be in it twice.
        """
        step: list[Portion] = []
        held = 0
        for number in range(len(self._numbered)):
            if held >= COPIED:
                yield step
                step, held = [], 0
            swarm = self._numbered[number]
            if swarm is None or not self._holds(swarm):
                held += 1
                continue
            for peers in swarm.families:
                stop = len(peers)
                while stop > 0:
                    start = max(0, stop - COPIED)
                    step.append(Portion(swarm.info_hash, swarm.downloaded, peers.copy(start, stop)))
                    held += stop - start + PORTION
                    if held >= COPIED:
                        yield step
                        step, held = [], 0
                    stop = min(start, len(peers))
        if step:
            yield step

    def restore(self, portion: Portion) -> int:
        """Take its peers in, but for those who stayed away or are here already; how many.

        All bounds hold: what there is no room for is left out.
        """
        now = int(self._now() * SECOND)
        before = now - int(self.expire_after * SECOND)
        taken = 0
        for packed, peer_id, kind, stamp in portion.peers.peers():
            if stamp < before:
                continue
            swarm = self._swarms.get(portion.info_hash)
            if swarm is not None and swarm.family(packed).find(packed) >= 0:
                continue
            try:
                self._admit(host_of(packed), portion.info_hash, swarm)
            except TrackerFailure:
                break
            swarm = self._swarm(portion.info_hash)
            # Stamps may run a little ahead of the clock; further they do when that was set back meanwhile.
            stamp = min(stamp, now + SECOND)
            self._stamp = max(self._stamp, stamp)
            self._add(swarm, packed, peer_id, kind, stamp)
            swarm.downloaded = max(swarm.downloaded, portion.downloaded)
            taken += 1
        return taken

    def settle(self) -> None:
        """All is restored: who came when is known again, whatever order it was restored in."""
        self._holdings.settle()

    def _admit(self, host: bytes, info_hash: bytes, swarm: Swarm | None) -> None:
        """Make room for one more peer of this host in this swarm, or raise TrackerFailure."""
        settings, holdings = self._settings, self._holdings
        if swarm is not None and (here := swarm.family(host).of_host(host)):
            while len(here) >= settings.peers_per_address:
                family = swarm.family(host)
                self._remove(swarm, family, family.oldest(here))
                here = family.of_host(host)
        else:
            for _ in range(EVICTIONS):  # more than one only where the setting was lowered
                if not holdings.reaches(host, settings.torrents_per_address):
                    break
                self._evict(host)
        if self._peers >= settings.max_peers:
            self._make_room(host, "peer", lambda: self._peers < settings.max_peers)
        if len(self._swarms) >= settings.max_torrents and info_hash not in self._swarms:
            self._make_room(host, "torrent", lambda: len(self._swarms) < settings.max_torrents)

    def _make_room(self, host: bytes, what: str, there_is: Callable[[], bool]) -> None:
        for _ in range(EVICTIONS):
            greediest = self._holdings.greediest(host)
            if greediest is None:
                break
            self._evict(greediest)
            if there_is():
                return
        raise TrackerFailure(f"this tracker has no room for another {what}", FULL_RETRY)

    def _evict(self, host: bytes) -> None:
        """Drop the host's peers in the swarm to which it announced longest ago."""
        swarm = self._numbered[self._holdings.oldest(host)]
        assert swarm is not None
        peers = swarm.family(host)
        for packed in [peers.address(slot) for slot in peers.of_host(host)]:
            self._remove(swarm, peers, peers.find(packed))
            self._evicted(swarm.info_hash, packed)
        self._retire_if_empty(swarm)

    def _announced(self, host: bytes, number: int) -> int:
        """The stamp of the host's last announce to the swarm of this number; it has peers there."""
        swarm = self._numbered[number]
        assert swarm is not None
        peers = swarm.family(host)
        return max(peers.stamp(slot) for slot in peers.of_host(host))

    def _swarm(self, info_hash: bytes) -> Swarm:
        swarm = self._swarms.get(info_hash)
        if swarm is None:
            number = self._free.pop() if self._free else len(self._numbered)
            swarm = self._swarms[info_hash] = Swarm(info_hash, number)
            if number == len(self._numbered):
                self._numbered.append(swarm)
            else:
                self._numbered[number] = swarm
        return swarm

    def _add(self, swarm: Swarm, packed: bytes, peer_id: bytes, kind: int, stamp: int) -> int:
        slot = swarm.family(packed).add(packed, peer_id, kind, stamp)
        self._holdings.add(host_of(packed), swarm.number)
        self._peers += 1
        self._seeds += kind == SEED
        return slot

    def _remove(self, swarm: Swarm, peers: PackedPeers, slot: int) -> None:
        self._peers -= 1
        self._seeds -= slot < peers.seeds
        self._holdings.remove(host_of(peers.address(slot)), swarm.number)
        peers.remove(slot)

    def _leave(self, info_hash: bytes, packed: bytes) -> SwarmAnswer:
        swarm = self._swarms.get(info_hash)
        if swarm is None:
            return SwarmAnswer()
        peers = swarm.family(packed)
        slot = peers.find(packed)
        if slot >= 0:
            self._remove(swarm, peers, slot)
            self._retire_if_empty(swarm)
        return SwarmAnswer(swarm.complete, swarm.size - swarm.complete, swarm.downloaded)

    def _answer(
        self, swarm: Swarm, own: PackedPeers, slot: int, kind: int, request: AnnounceRequest
    ) -> SwarmAnswer:
        """The asker's own family first, since those it reaches for certain; the other fills what is left."""
        wanted = request.numwant or 0
        only_leeches = kind != LEECH and not self._settings.seeds_meet_seeds
        with_ids = not request.compact and not request.no_peer_id
        addresses, ids = self._pick(own, wanted, slot, only_leeches, with_ids)
        complete = swarm.complete
        peers4, peers6 = (addresses, b"") if own is swarm.four else (b"", addresses)
        if swarm.six is not None:
            other = swarm.six if own is swarm.four else swarm.four
            wanted -= len(addresses) // own.width
            more, more_ids = self._pick(other, wanted, -1, only_leeches, True)
            if request.peer_id in more_ids:  # which of them is the asker's other address, only its id tells
                more, more_ids = _without(request.peer_id, more, more_ids)
            if own is swarm.four:
                peers6, ids = more, ids + more_ids
            else:
                peers4, ids = more, more_ids + ids
        return new_answer(
            complete,
            swarm.size - complete,
            swarm.downloaded,
            peers4,
            peers6,
            ids if with_ids else b"",
        )

    def _pick(
        self, peers: PackedPeers, wanted: int, asker: int, only_leeches: bool, with_ids: bool
    ) -> tuple[bytes, bytes]:
        """At most so many packed addresses without the asker's, and the ids to them."""
        first = peers.leeches_from if only_leeches else 0
        if wanted >= len(peers) - first - (asker >= first):
            return peers.others(first, asker), peers.ids_of_others(first, asker) if with_ids else b""
        slots = peers.choose(wanted, first, asker, self._random)
        return peers.addresses(slots), peers.ids(slots) if with_ids else b""

    def _holds(self, swarm: Swarm) -> bool:
        return self._swarms.get(swarm.info_hash) is swarm

    def _retire_if_empty(self, swarm: Swarm) -> None:
        if swarm.size or self._numbered[swarm.number] is not swarm:
            return
        self._numbered[swarm.number] = None
        self._free.append(swarm.number)
        if self._holds(swarm):
            del self._swarms[swarm.info_hash]


def _without(peer_id: bytes, addresses: bytes, ids: bytes) -> tuple[bytes, bytes]:
    """Leave out those of that peer id."""
    count = len(ids) // 20
    width = len(addresses) // count
    keep = [at for at in range(count) if ids[at * 20 : at * 20 + 20] != peer_id]
    return (
        b"".join(addresses[at * width : (at + 1) * width] for at in keep),
        b"".join(ids[at * 20 : at * 20 + 20] for at in keep),
    )
