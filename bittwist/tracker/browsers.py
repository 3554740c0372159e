"""Who is in which swarm by a WebSocket; pure, with random given to the constructor.

A browser has no address that others could dial, so it is in no ISwarmStore: its place in a swarm lives with
its connection, in the process that holds this. What is shared with the store is the count of each swarm.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from heapq import nlargest
from itertools import islice
from random import Random

from bittwist.announce.values import AnnounceRequest, Event, ScrapeEntry
from bittwist.errors import TrackerFailure
from bittwist.tracker.interfaces import SwarmAnswer, Totals
from bittwist.tracker.peers import host_of
from bittwist.tracker.settings import TrackerSettings

MAX_MEMBERS = 200_000  # of all swarms, unless told otherwise; about 0.5 KiB each
DRAWN = 16  # members looked at for one that gives way: a host with half of all is missed once in 65,536 times
SORTED = 10_000  # swarms that are sorted when somebody asks for the largest: some milliseconds
FULL_RETRY = 3600.0  # seconds to stay away from a full tracker


class Member:
    """A peer of a swarm, and the connection it is reached by; None once it has left."""

    __slots__ = ("connection", "downloading", "host", "info_hash", "peer_id", "place", "seed", "slot")

    def __init__(self, info_hash: bytes, peer_id: bytes, connection: object, host: bytes) -> None:
        self.info_hash = info_hash
        self.peer_id = peer_id
        self.connection: object | None = connection
        self.host = host
        self.seed = False
        self.downloading = False  # a leech that is no partial seed (BEP 21)
        self.slot = 0  # in the swarm's list
        self.place = 0  # in that of everybody


class _Swarm:
    """The members of one swarm: seeds and leeches, each in a list without order, for a fair choice."""

    __slots__ = ("by_host", "downloaded", "downloaders", "leeches", "seeds")

    def __init__(self) -> None:
        self.seeds: list[Member] = []
        self.leeches: list[Member] = []
        self.by_host: dict[bytes, dict[Member, None]] = {}  # who announced longest ago comes first
        self.downloaded = 0
        self.downloaders = 0

    def __len__(self) -> int:
        return len(self.seeds) + len(self.leeches)

    def add(self, member: Member) -> None:
        members = self.seeds if member.seed else self.leeches
        member.slot = len(members)
        members.append(member)
        self.downloaders += member.downloading
        self.by_host.setdefault(member.host, {})[member] = None

    def remove(self, member: Member) -> None:
        members = self.seeds if member.seed else self.leeches
        last = members.pop()
        if last is not member:
            members[member.slot] = last
            last.slot = member.slot
        self.downloaders -= member.downloading
        of_host = self.by_host[member.host]
        del of_host[member]
        if not of_host:
            del self.by_host[member.host]

    def entry(self) -> ScrapeEntry:
        return ScrapeEntry(len(self.seeds), self.downloaded, len(self.leeches), self.downloaders)


class Browsers:
    """The browsers of all swarms; owns every Member.

    A peer is (info hash, connection, peer id). A connection is any hashable object, and between `opened` and
    `closed` it may join swarms. In a swarm one host (of IPv6 a /64) has at most `peers_per_address` members:
    its own oldest goes for a further one. Where all have `limit`, a member of a host with many goes for who
    has fewer; who has many itself is refused. How often a swarm was downloaded is forgotten with its last
    member.
    """

    def __init__(self, random: Random, settings: TrackerSettings) -> None:
        self._random = random
        self.settings = settings
        self.limit = MAX_MEMBERS
        self._everybody: list[Member] = []
        self._held: Counter[bytes] = Counter()
        self._swarms: dict[bytes, _Swarm] = {}
        self._connections: dict[object, dict[tuple[bytes, bytes], Member]] = {}

    def __iter__(self) -> Iterator[bytes]:
        """The swarms that browsers are in."""
        return iter(self._swarms)

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._connections)

    def opened(self, connection: object) -> None:
        """From now on this connection may join swarms."""
        self._connections[connection] = {}

    def closed(self, connection: object) -> None:
        """This connection is gone, and with it its members."""
        for member in list(self._connections.get(connection, {}).values()):
            self._leave(member)
        self._connections.pop(connection, None)

    def memberships(self, connection: object) -> int:
        """How many members a connection has, of whatever swarms and by whatever peer ids."""
        return len(self._connections.get(connection, ()))

    def member(self, connection: object, info_hash: bytes, peer_id: bytes) -> Member | None:
        """The peer of that id, if it is in that swarm by this connection."""
        return self._connections.get(connection, {}).get((info_hash, peer_id))

    def announce(self, connection: object, request: AnnounceRequest) -> None:
        """Note the peer, or its leaving. `request.address` is set; its port says nothing.

        TrackerFailure where there is no room for it.
        """
        assert request.address is not None
        joined = self._connections.get(connection)
        if joined is None:
            return  # it closed while a hook or a store was asked
        member = joined.get((request.info_hash, request.peer_id))
        if request.event is Event.STOPPED:
            if member is not None:
                self._leave(member)
            return
        was_seed = member is not None and member.seed
        if member is None:
            host = host_of(request.address.packed)
            self._make_room(request.info_hash, host)
            member = Member(request.info_hash, request.peer_id, connection, host)
            member.place = len(self._everybody)
            self._everybody.append(member)
            self._held[host] += 1
            joined[request.info_hash, request.peer_id] = member
            swarm = self._swarms.setdefault(request.info_hash, _Swarm())
        else:
            swarm = self._swarms[request.info_hash]
            swarm.remove(member)
        member.seed = request.is_seed
        member.downloading = not request.is_seed and request.event is not Event.PAUSED
        swarm.add(member)
        # Said twice, or by who was here as a seed, it is no further download.
        if request.event is Event.COMPLETED and request.is_seed and not was_seed:
            swarm.downloaded += 1

    def choose(self, member: Member, count: int) -> list[Member]:
        """At most `count` others of its swarm, by chance and without bias; no seeds for a seed."""
        swarm = self._swarms.get(member.info_hash)
        if swarm is None or count <= 0:
            return []
        leeches = len(swarm.leeches)
        total = leeches if member.seed and not self.settings.seeds_meet_seeds else len(swarm)
        # One more than wanted is drawn, so that leaving out the asker does not favour anybody.
        drawn = self._random.sample(range(total), min(count + 1, total))
        found = [swarm.leeches[slot] if slot < leeches else swarm.seeds[slot - leeches] for slot in drawn]
        return [other for other in found if other.peer_id != member.peer_id][:count]

    def size(self, info_hash: bytes) -> ScrapeEntry:
        """How many browsers are in a swarm; zeros where none is."""
        swarm = self._swarms.get(info_hash)
        return ScrapeEntry(downloaders=0) if swarm is None else swarm.entry()

    def counted(self, answer: SwarmAnswer, info_hash: bytes) -> SwarmAnswer:
        """The answer of a store, with the browsers of that swarm counted in."""
        swarm = self._swarms.get(info_hash)
        if swarm is None:
            return answer
        return replace(
            answer,
            complete=answer.complete + len(swarm.seeds),
            incomplete=answer.incomplete + len(swarm.leeches),
            downloaded=answer.downloaded + swarm.downloaded,
        )

    def scraped(self, entries: dict[bytes, ScrapeEntry]) -> dict[bytes, ScrapeEntry]:
        """The scrape of a store, with browsers counted in."""
        if not self._swarms:
            return entries
        return {info_hash: _sum(entry, self.size(info_hash)) for info_hash, entry in entries.items()}

    def totals(self) -> Totals:
        """How many swarms have browsers, and how many of these are seeds and leeches."""
        seeds = sum(len(swarm.seeds) for swarm in self._swarms.values())
        leeches = sum(len(swarm.leeches) for swarm in self._swarms.values())
        return Totals(len(self._swarms), seeds, leeches)

    def largest(self, count: int) -> list[bytes]:
        """At most `count` swarms with the most browsers; of the first 10,000, where there are more."""
        swarms = islice(self._swarms.items(), SORTED)
        return [info_hash for info_hash, _ in nlargest(count, swarms, lambda item: len(item[1]))]

    def forget(self, info_hash: bytes) -> None:
        """Drop this swarm and all its members; their connections stay."""
        swarm = self._swarms.get(info_hash)
        if swarm is not None:
            for member in [*swarm.seeds, *swarm.leeches]:
                self._leave(member)

    def _make_room(self, info_hash: bytes, host: bytes) -> None:
        swarm = self._swarms.get(info_hash)
        of_host = swarm.by_host.get(host, {}) if swarm is not None else {}
        if len(of_host) >= self.settings.peers_per_address:
            self._leave(next(iter(of_host)))
        if len(self._everybody) < self.limit:
            return
        # Who has many of all is drawn often: there is no need to look for who has most.
        drawn = self._random.choices(self._everybody, k=DRAWN)
        greatest = max(drawn, key=lambda member: self._held[member.host])
        if self._held[greatest.host] <= self._held[host] + 1:
            raise TrackerFailure("this tracker has no room for another browser", FULL_RETRY)
        self._leave(greatest)

    def _leave(self, member: Member) -> None:
        swarm = self._swarms[member.info_hash]
        swarm.remove(member)
        if not len(swarm):
            del self._swarms[member.info_hash]
        last = self._everybody.pop()
        if last is not member:
            self._everybody[member.place] = last
            last.place = member.place
        self._held[member.host] -= 1
        if not self._held[member.host]:
            del self._held[member.host]
        del self._connections[member.connection][member.info_hash, member.peer_id]
        member.connection = None


def _sum(one: ScrapeEntry, other: ScrapeEntry) -> ScrapeEntry:
    known = one.downloaders is not None and other.downloaders is not None
    return ScrapeEntry(
        one.complete + other.complete,
        one.downloaded + other.downloaded,
        one.incomplete + other.incomplete,
        (one.downloaders or 0) + (other.downloaders or 0) if known else None,
    )
