"""The peers of one swarm in one address family, packed: few bytes a peer, and any choice in O(chosen)."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from random import Random
from struct import Struct
from sys import byteorder

from bittwist.tracker.buckets import Buckets, position

ID = 20  # bytes of a peer id
SLOT = 4  # bytes of a slot's number in the index
SCANNED = 128  # peers that are searched without an index: as fast, and no memory
LANES = 64  # random numbers drawn at once: what most peers want, and some that come again
LOWER_HALVES = int.from_bytes(b"\xff\xff\xff\xff\0\0\0\0" * LANES, "little")
UPPER_HALVES = Struct("<" + "4xI" * LANES)
# What a peer is, in the order of the slots.
SEED = 0
PARTIAL = 1  # a partial seed (BEP 21)
LEECH = 2
NOBODY = 3


@dataclass(frozen=True, slots=True)
class PeerColumns:
    """Some peers of one family: seeds first, then partial seeds, then leeches; each column packed."""

    addresses: bytes
    ids: bytes
    stamps: array[int]
    seeds: int
    partials: int

    def __len__(self) -> int:
        return len(self.stamps)

    def peers(self) -> Iterator[tuple[bytes, bytes, int, int]]:
        """Packed address, id, kind and stamp of each."""
        width = len(self.addresses) // max(1, len(self.stamps))
        for slot, stamp in enumerate(self.stamps):
            kind = SEED if slot < self.seeds else PARTIAL if slot < self.seeds + self.partials else LEECH
            packed = self.addresses[slot * width : (slot + 1) * width]
            yield packed, self.ids[slot * ID : (slot + 1) * ID], kind, stamp


class PackedPeers:
    """Slots without gaps: the seeds, then the partial seeds, then the leeches.

    Owns the slots and, in a bigger swarm, the index to them. A packed address is `width` bytes: 6 or 18
    (BEP 23, 7). A host is as many first bytes of it as the tracker takes for one address (`host_of`).
    Stamps are microseconds; the store gives each announce one of its own, so they also tell who came first.
    """

    __slots__ = ("_addresses", "_cells", "_ids", "_index", "_stamps", "leeches_from", "seeds", "width")

    def __init__(self, width: int) -> None:
        self.width = width
        self._addresses = bytearray()
        self._ids = bytearray()
        self._stamps = array("q")
        self._index: Buckets | None = None  # packed address -> slot
        # With an index, IPv4 addresses once more, as numbers: one call gathers many of those from all over
        # memory, which keeps an announce in a swarm of half a million at the price of one in a thousand.
        self._cells: array[int] | None = None
        self.seeds = 0
        self.leeches_from = 0  # the first slot of those who download: neither seed nor partial seed

    def __len__(self) -> int:
        return len(self._stamps)

    @property
    def leeches(self) -> int:
        return len(self._stamps) - self.leeches_from

    def find(self, packed: bytes) -> int:
        """The slot of this address and port; -1 where it has none."""
        if self._index is None:
            at = self._addresses.find(packed)
            if at % self.width and at >= 0:
                at = position(self._addresses, packed, self.width, at + 1)
            return at // self.width
        record = self._index.find(packed)
        return -1 if record is None else int.from_bytes(record[-SLOT:], "big")

    def of_host(self, host: bytes) -> list[int]:
        """The slots of a host's peers."""
        if self._index is not None:
            return [int.from_bytes(record[-SLOT:], "big") for record in self._index.find_all(host)]
        found = []
        at = position(self._addresses, host, self.width)
        while at >= 0:
            found.append(at // self.width)
            at = position(self._addresses, host, self.width, at + self.width)
        return found

    def oldest(self, slots: Sequence[int]) -> int:
        """Which of these announced longest ago."""
        return min(slots, key=self._stamps.__getitem__)

    def address(self, slot: int) -> bytes:
        return bytes(self._addresses[slot * self.width : (slot + 1) * self.width])

    def peer_id(self, slot: int) -> bytes:
        return bytes(self._ids[slot * ID : (slot + 1) * ID])

    def stamp(self, slot: int) -> int:
        return self._stamps[slot]

    def kind(self, slot: int) -> int:
        """SEED, PARTIAL or LEECH."""
        return SEED if slot < self.seeds else PARTIAL if slot < self.leeches_from else LEECH

    def add(self, packed: bytes, peer_id: bytes, kind: int, stamp: int) -> int:
        """A peer that has no slot; its slot from now on."""
        slot = len(self._stamps)
        self._addresses += packed
        self._ids += peer_id
        self._stamps.append(stamp)
        if self._index is not None:
            self._index.add(packed + slot.to_bytes(SLOT, "big"))
            if self._cells is not None:
                self._cells.append(_cell(packed))
        elif slot >= SCANNED:
            self._build_index()
        return self._move(slot, NOBODY, kind)

    def renew(self, slot: int, peer_id: bytes, kind: int, stamp: int) -> int:
        """It announced again; its slot from now on."""
        self._ids[slot * ID : (slot + 1) * ID] = peer_id
        self._stamps[slot] = stamp
        held = self.kind(slot)
        return slot if held == kind else self._move(slot, held, kind)

    def remove(self, slot: int) -> None:
        last = self._move(slot, self.kind(slot), NOBODY)
        if self._index is not None:
            self._index.remove(self.address(last))
        del self._addresses[last * self.width :]
        del self._ids[last * ID :]
        self._stamps.pop()
        if self._cells is not None:
            self._cells.pop()
        if self._index is not None and last < SCANNED // 2:
            self._index = self._cells = None

    def others(self, first: int, but: int) -> bytes:
        """The addresses of all from slot `first` on except that one."""
        width = self.width
        if but < first:
            return bytes(self._addresses[first * width :])
        return bytes(self._addresses[first * width : but * width] + self._addresses[(but + 1) * width :])

    def ids_of_others(self, first: int, but: int) -> bytes:
        """The peer ids of the same, in the same order."""
        if but < first:
            return bytes(self._ids[first * ID :])
        return bytes(self._ids[first * ID : but * ID] + self._ids[(but + 1) * ID :])

    def choose(self, count: int, first: int, but: int, random: Random) -> list[int]:
        """`count` slots from `first` on, never `but`: each set of them as likely, whoever came when.

        There are at least as many. Whichever are fewer, the chosen or the others, are drawn by chance.
        """
        end = len(self._stamps)
        others = end - first - (but >= first)
        if not count:
            return []
        if 2 * count <= others:
            return self._draw(count, first, but, random)
        left_out = {but, *self._draw(others - count, first, but, random)}
        return [slot for slot in range(first, end) if slot not in left_out]

    def addresses(self, slots: Sequence[int]) -> bytes:
        """The packed addresses of these slots."""
        if self._cells is not None and len(slots) > 1:  # itemgetter of one gives no tuple
            found = bytearray(array("Q", itemgetter(*slots)(self._cells)).tobytes())
            del found[7::8], found[6::7]  # the two zeros that fill each number
            return bytes(found)
        packed, width = self._addresses, self.width
        return b"".join([packed[slot * width : (slot + 1) * width] for slot in slots])

    def ids(self, slots: Sequence[int]) -> bytes:
        return b"".join([self._ids[slot * ID : (slot + 1) * ID] for slot in slots])

    def gone(self, before: int, start: int, stop: int) -> list[int]:
        """Which of these slots were last heard of earlier than `before`, the last slot first."""
        stamps = self._stamps[start:stop]
        if not stamps or min(stamps) >= before:  # the usual case, without a loop
            return []
        return [start + at for at in range(len(stamps) - 1, -1, -1) if stamps[at] < before]

    def copy(self, start: int, stop: int) -> PeerColumns:
        """The peers in these slots."""
        return PeerColumns(
            bytes(self._addresses[start * self.width : stop * self.width]),
            bytes(self._ids[start * ID : stop * ID]),
            self._stamps[start:stop],
            seeds=max(0, min(self.seeds, stop) - start),
            partials=max(0, min(self.leeches_from, stop) - max(start, self.seeds)),
        )

    def _draw(self, count: int, first: int, but: int, random: Random) -> list[int]:
        """Slots drawn one by one, those that come again left out: at most half of all, so that few do."""
        span = len(self._stamps) - first
        found = dict.fromkeys(numbers_below(span, random))
        found.pop(but - first, None)
        while len(found) < count:
            found.update(dict.fromkeys(numbers_below(span, random)))
            found.pop(but - first, None)
        drawn = list(found)[:count]
        return [first + number for number in drawn] if first else drawn

    def _move(self, slot: int, kind: int, to: int) -> int:
        """Out of one kind's slots into another's, over the boundaries between them; where it is then."""
        while kind < to:
            if kind == SEED:
                self.seeds -= 1
                edge = self.seeds
            elif kind == PARTIAL:
                self.leeches_from -= 1
                edge = self.leeches_from
            else:
                edge = len(self._stamps) - 1
            self._swap(slot, edge)
            slot = edge
            kind += 1
        while kind > to:
            kind -= 1
            if kind == LEECH:
                continue  # the last slot is a leech's by itself
            edge = self.seeds if kind == SEED else self.leeches_from
            self._swap(slot, edge)
            slot = edge
            if kind == SEED:
                self.seeds += 1
            else:
                self.leeches_from += 1
        return slot

    def _swap(self, one: int, other: int) -> None:
        if one == other:
            return
        width, addresses, ids, stamps = self.width, self._addresses, self._ids, self._stamps
        first, second = self.address(one), self.address(other)
        addresses[one * width : (one + 1) * width] = second
        addresses[other * width : (other + 1) * width] = first
        first_id = self.peer_id(one)
        ids[one * ID : (one + 1) * ID] = self.peer_id(other)
        ids[other * ID : (other + 1) * ID] = first_id
        stamps[one], stamps[other] = stamps[other], stamps[one]
        if self._index is not None:
            self._index.replace(first, first + other.to_bytes(SLOT, "big"))
            self._index.replace(second, second + one.to_bytes(SLOT, "big"))
        if (cells := self._cells) is not None:
            cells[one], cells[other] = cells[other], cells[one]

    def _build_index(self) -> None:
        self._index = Buckets(self.width + SLOT, len(host_of(bytes(self.width))))
        for slot in range(len(self._stamps)):
            self._index.add(self.address(slot) + slot.to_bytes(SLOT, "big"))
        if self.width == 6:
            self._cells = array("Q", [_cell(self.address(slot)) for slot in range(len(self._stamps))])


def numbers_below(span: int, random: Random) -> tuple[int, ...]:
    """64 independent numbers from 0 to `span` - 1, each as likely to within span / 2**32.

    Each is a random 32-bit number times span, of which the upper half; all in one multiplication of a big
    integer, in a quarter of the time of 64 calls.
    """
    lanes = random.getrandbits(64 * LANES) & LOWER_HALVES
    return UPPER_HALVES.unpack((lanes * span).to_bytes(8 * LANES, "little"))


def _cell(packed: bytes) -> int:
    return int.from_bytes(packed + b"\0\0", byteorder)


def host_of(packed: bytes) -> bytes:
    """What counts as one address: of IPv6 a /64, since that is the least that one customer is given."""
    return packed[:4] if len(packed) == 6 else packed[:8]
