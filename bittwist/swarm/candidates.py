"""Addresses that peers may be found at: which to dial next, and which never.

What fails waits, twice as long each time, and is forgotten after `give_up_after` failures in a row.
When the list is full, the weakest twentieth of those not in use goes: first what failed most, then
what came from the weaker source, then the oldest; and a newcomer from a weaker source than all that
are left is turned away, so that peer exchange never pushes out what a tracker said (SECURITY.md B8).

Of those that are due, the one that was dialed longest ago comes first, those never dialed before all others;
among these the better source, and then the higher peer priority (BEP 40) where it is known.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import Enum, auto
from heapq import heappop, heappush
from itertools import chain, islice
from random import Random

from bittwist.address import Address
from bittwist.settings import COUNT, MONTH, SECONDS, check_bounds

# The weaker the source, the higher: what the user said, what was told us, what anyone may claim.
RANKS = {"manual": 0, "magnet": 0, "tracker": 1, "lsd": 1, "dht": 2, "pex": 3}
OTHER_RANK = 2
MAX_BANS = 3000  # hosts; the oldest are pardoned first
MAX_REASON = 120  # characters kept of why an address failed: some repeat what a stranger sent
MAX_OURS = 64  # addresses of our own; anybody can pretend to be us, and the oldest are dialed again
NEVER = float("-inf")

Source = tuple[str, str]  # where an address was found: the kind, such as "tracker", and which one of it


@dataclass(frozen=True, slots=True)
class CandidateSettings:
    """Times in seconds."""

    max_kept: int = 3000  # addresses of one torrent (SECURITY.md C3)
    max_of_host: int = 64  # ports of one host: we are nobody's port scanner; does not bind "manual"
    retry_after: float = 30.0  # the first time; doubled with each failure in a row
    retry_at_most: float = 3600.0
    give_up_after: int = 8  # failures in a row
    lasting: float = 60.0  # a connection that held so long was no failure

    def __post_init__(self) -> None:
        check_bounds(
            self,
            {
                "max_kept": COUNT,
                "max_of_host": COUNT,
                "retry_after": SECONDS,
                "retry_at_most": (self.retry_after, MONTH),
                "give_up_after": COUNT,
                "lasting": SECONDS,
            },
        )


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why nobody is met at `place`: HOST:PORT, or a host that is banned."""

    place: str
    reason: str

    def __str__(self) -> str:
        return f"{self.place}: {self.reason}"


class _State(Enum):
    IDLE = auto()
    CONNECTING = auto()
    CONNECTED = auto()


@dataclass(slots=True)
class _Candidate:
    """One address; owned by Candidates."""

    rank: int
    number: int  # in order of arrival
    first: Source
    named_by: tuple[str, ...]  # kinds of sources
    state: _State = _State.IDLE
    failures: int = 0
    reason: str = ""  # of the last failure
    dialed_at: float = NEVER
    ticket: int = 0  # of its valid place in the queue


class Candidates:
    """The known addresses of a torrent's peers, at most `max_kept`."""

    def __init__(
        self,
        settings: CandidateSettings,
        random: Random,
        priority: Callable[[Address], int | None] = lambda _: None,
    ) -> None:
        """`priority` is the peer priority of an address (BEP 40); without it chance decides."""
        self._settings = settings
        self._random = random
        self._priority = priority
        self._known: dict[Address, _Candidate] = {}
        self._of_host: dict[str, int] = {}
        self._of_source: Counter[Source] = Counter()
        self._queue: list[tuple[float, int, Address]] = []  # due, ticket, address: a heap of who waits
        self._due: list[tuple[float, int, int, float, int, Address]] = []  # a heap of who is due; see _place
        self._tickets = 0
        self._bans: dict[str, str] = {}
        self._ours: dict[Address, None] = {}

    def add(self, address: Address, source: str, now: float, detail: str = "") -> bool:
        """An address was found: whether it is new and kept. `detail` tells sources of one kind apart."""
        rank = RANKS.get(source, OTHER_RANK)
        candidate = self._known.get(address)
        if candidate is not None:
            candidate.rank = min(candidate.rank, rank)
            if source not in candidate.named_by:
                candidate.named_by = (*candidate.named_by, source)
            return False
        if address.port == 0 or address.host in self._bans or address in self._ours:
            return False
        if rank > 0 and self._of_host.get(address.host, 0) >= self._settings.max_of_host:
            return False
        if len(self._known) >= self._settings.max_kept and not self._make_room(rank):
            return False
        self._known[address] = _Candidate(rank, self._tickets, (source, detail), (source,))
        self._of_host[address.host] = self._of_host.get(address.host, 0) + 1
        self._of_source[source, detail] += 1
        self._enqueue(address, now)
        return True

    def next(self, now: float) -> Address | None:
        """The address to dial, of those that are due; None if none is. Then tell `connecting`."""
        while self._queue and self._queue[0][0] <= now:
            _, ticket, address = heappop(self._queue)
            if self._waits(address, ticket):
                heappush(self._due, self._place(address, ticket))
        while self._due:
            *_, ticket, address = self._due[0]
            if self._waits(address, ticket):
                self._known[address].dialed_at = now
                return address
            heappop(self._due)
        return None

    def connecting(self, address: Address) -> None:
        """It is being dialed."""
        self._enter(address, _State.CONNECTING)

    def connected(self, address: Address) -> None:
        """We are connected with it."""
        self._enter(address, _State.CONNECTED)

    def failed(self, address: Address, reason: str, now: float) -> None:
        """It could not be reached, or was no peer of this torrent: later, perhaps."""
        candidate = self._known.get(address)
        if candidate is None or candidate.state is _State.CONNECTED:
            return
        self._retry(address, candidate, reason, now)

    def lost(self, address: Address, reason: str, now: float) -> None:
        """The connection is gone; one that held for long is no failure."""
        candidate = self._known.get(address)
        if candidate is None or candidate.state is not _State.CONNECTED:
            return
        if now - candidate.dialed_at >= self._settings.lasting:
            candidate.failures = 0
        self._retry(address, candidate, reason, now)

    def given_up(self, address: Address, now: float, after: float) -> None:
        """We gave the dial up, for reasons of ours: no failure, and due again `after` seconds from now."""
        candidate = self._known.get(address)
        if candidate is not None and candidate.state is not _State.CONNECTED:
            self._put_back(address, candidate, now + after)

    def parted(self, address: Address, now: float, after: float) -> None:
        """We ended the connection, for reasons of ours: it proved to be a peer, due again so much later."""
        candidate = self._known.get(address)
        if candidate is not None and candidate.state is _State.CONNECTED:
            candidate.failures = 0
            self._put_back(address, candidate, now + after)

    def wake(self, now: float) -> None:
        """Whatever waits without having failed is due."""
        for address, candidate in self._known.items():
            if candidate.state is _State.IDLE and not candidate.failures:
                self._enqueue(address, now)

    def ban(self, host: str, reason: str) -> None:
        """Never dial or take this host again: it is proven to have done `reason`."""
        self._bans.pop(host, None)
        self._bans[host] = reason
        if len(self._bans) > MAX_BANS:
            del self._bans[next(iter(self._bans))]
        for address in [address for address in self._known if address.host == host]:
            self._forget(address)

    def banned(self, host: str) -> bool:
        return host in self._bans

    def exclude(self, address: Address) -> None:
        """The address is our own."""
        self._ours.pop(address, None)
        self._ours[address] = None
        if len(self._ours) > MAX_OURS:
            del self._ours[next(iter(self._ours))]
        if address in self._known:
            self._forget(address)

    def origin(self, address: Address) -> Source | None:
        """Who named this address first."""
        candidate = self._known.get(address)
        return candidate.first if candidate is not None else None

    def kept_of(self, source: str) -> int:
        """How many of those that are kept a kind of source named first."""
        return sum(count for (kind, _), count in self._of_source.items() if kind == source)

    def forget(self, sources: Collection[str]) -> tuple[Address, ...]:
        """Dial nobody any more whom only these kinds of sources have named; who that is, those in use too."""
        gone = tuple(
            address
            for address, candidate in self._known.items()
            if all(kind in sources for kind in candidate.named_by)
        )
        for address in gone:
            self._forget(address)
        return gone

    def known(self) -> tuple[Address, ...]:
        """All addresses that are kept, in order of arrival."""
        return tuple(self._known)

    def trouble(self, address: Address) -> str:
        """Why nobody is met there, as far as is known; else empty."""
        if address in self._ours:
            return "it is our own address"
        if address.host in self._bans:
            return f"banned: {self._bans[address.host]}"
        candidate = self._known.get(address)
        failing = candidate is not None and candidate.failures and candidate.state is not _State.CONNECTED
        return candidate.reason if candidate is not None and failing else ""

    def troubles(self, most: int) -> tuple[Trouble, ...]:
        """Of at most so many that are kept, in order of arrival, and then of the hosts banned last."""
        told = ((address, self.trouble(address)) for address in self._known)
        failing = (Trouble(str(address), reason) for address, reason in told if reason)
        banned = (Trouble(host, f"banned: {self._bans[host]}") for host in reversed(self._bans))
        return tuple(islice(chain(failing, banned), most))

    def __len__(self) -> int:
        return len(self._known)

    def _enter(self, address: Address, state: _State) -> None:
        candidate = self._known.get(address)
        if candidate is not None:
            candidate.state = state

    def _retry(self, address: Address, candidate: _Candidate, reason: str, now: float) -> None:
        settings = self._settings
        candidate.failures += 1
        candidate.reason = reason if len(reason) <= MAX_REASON else reason[: MAX_REASON - 1] + "…"
        candidate.state = _State.IDLE
        if candidate.failures >= settings.give_up_after:
            self._forget(address)
            return
        wait = min(settings.retry_after * 2 ** (candidate.failures - 1), settings.retry_at_most)
        self._enqueue(address, now + wait * self._random.uniform(0.9, 1.1))

    def _put_back(self, address: Address, candidate: _Candidate, due: float) -> None:
        candidate.state = _State.IDLE
        self._enqueue(address, due)

    def _enqueue(self, address: Address, due: float) -> None:
        self._tickets += 1
        self._known[address].ticket = self._tickets
        heappush(self._queue, (due, self._tickets, address))
        most = 2 * self._settings.max_kept + 16  # beyond it, mostly places of what was forgotten since
        if len(self._queue) > most:
            self._queue = sorted(entry for entry in self._queue if self._waits(entry[-1], entry[-2]))
        if len(self._due) > most:
            self._due = sorted(entry for entry in self._due if self._waits(entry[-1], entry[-2]))

    def _place(self, address: Address, ticket: int) -> tuple[float, int, int, float, int, Address]:
        """Among those that are due."""
        candidate = self._known[address]
        priority = self._priority(address) or 0
        return candidate.dialed_at, candidate.rank, -priority, self._random.random(), ticket, address

    def _waits(self, address: Address, ticket: int) -> bool:
        """Whether this is its place in the queue, and it is not in use."""
        candidate = self._known.get(address)
        return candidate is not None and candidate.ticket == ticket and candidate.state is _State.IDLE

    def _make_room(self, rank: int) -> bool:
        """Forget a twentieth of those that are not in use and no better than a newcomer of that rank."""
        weaker = [
            (-candidate.failures, -candidate.rank, candidate.number, address)
            for address, candidate in self._known.items()
            if candidate.state is _State.IDLE and (candidate.failures or candidate.rank >= rank)
        ]
        weaker.sort()
        for *_, address in weaker[: max(1, self._settings.max_kept // 20)]:
            self._forget(address)
        return bool(weaker)

    def _forget(self, address: Address) -> None:
        candidate = self._known.pop(address)
        self._of_source[candidate.first] -= 1
        if not self._of_source[candidate.first]:
            del self._of_source[candidate.first]
        self._of_host[address.host] -= 1
        if not self._of_host[address.host]:
            del self._of_host[address.host]
