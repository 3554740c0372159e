"""The peers of one swarm in one address family, packed: few bytes a peer, and any choice in O(chosen)."""

from __future__ import annotations

from array import array
from random import Random

ID = 20  # bytes of a peer id


class PackedPeers:
    """Slots without gaps: the seeds in the first `seeds` slots, then the leeches.

    Owns the slots and the index to them. A packed address is `width` bytes: 6 or 18 (BEP 23, 7).
    """

    __slots__ = ("_addresses", "_hosts", "_ids", "_seen", "_width", "seeds")

    def __init__(self, width: int) -> None:
        self._width = width
        self._addresses = bytearray()
        self._ids = bytearray()
        self._seen = array("I")  # whole seconds
        # host -> its slot, or where a host has several peers: port -> slot, the oldest announce first.
        # So the limit on peers of one address costs nothing for those who are one.
        self._hosts: dict[int, int | dict[bytes, int]] = {}
        self.seeds = 0

    def __len__(self) -> int:
        return len(self._seen)

    def find(self, packed: bytes) -> int | None:
        """The slot of this address and port."""
        held = self._hosts.get(_host(packed))
        if isinstance(held, dict):
            return held.get(packed[-2:])
        return held if held is not None and self.address(held) == packed else None

    def address(self, slot: int) -> bytes:
        return bytes(self._addresses[slot * self._width : (slot + 1) * self._width])

    def peer_id(self, slot: int) -> bytes:
        return bytes(self._ids[slot * ID : (slot + 1) * ID])

    def peers_of_host(self, packed: bytes) -> int:
        held = self._hosts.get(_host(packed))
        return len(held) if isinstance(held, dict) else int(held is not None)

    def oldest_of_host(self, packed: bytes) -> int:
        """The slot of the host's peer that announced longest ago; the host has one."""
        held = self._hosts[_host(packed)]
        return next(iter(held.values())) if isinstance(held, dict) else held

    def put(self, packed: bytes, peer_id: bytes, is_seed: bool, now: float) -> None:
        """Add a peer, or note that it announced again."""
        slot = self.find(packed)
        if slot is None:
            slot = len(self._seen)
            self._addresses += packed
            self._ids += peer_id
            self._seen.append(int(now))
            self._index(packed, slot)
        else:
            self._ids[slot * ID : (slot + 1) * ID] = peer_id
            self._seen[slot] = int(now)
            held = self._hosts[_host(packed)]
            if isinstance(held, dict):
                held[packed[-2:]] = held.pop(packed[-2:])
        if is_seed and slot >= self.seeds:
            self._swap(slot, self.seeds)
            self.seeds += 1
        elif not is_seed and slot < self.seeds:
            self.seeds -= 1
            self._swap(slot, self.seeds)

    def remove(self, slot: int) -> None:
        if slot < self.seeds:
            self.seeds -= 1
            self._swap(slot, self.seeds)
            slot = self.seeds
        last = len(self._seen) - 1
        self._swap(slot, last)
        self._forget(self.address(last))
        del self._addresses[last * self._width :]
        del self._ids[last * ID :]
        self._seen.pop()

    def choose(self, count: int, random: Random, *, only_leeches: bool) -> list[int]:
        """At most `count` slots, each set of them equally likely, in random order."""
        first = self.seeds if only_leeches else 0
        return random.sample(range(first, len(self._seen)), min(count, len(self._seen) - first))

    def expire(self, before: float, slot: int, slots: int) -> int:
        """Remove who was last seen earlier, looking at `slots` slots from `slot` down; where to go on."""
        slot = min(slot, len(self._seen) - 1)
        stop = max(-1, slot - slots)
        while slot > stop:
            # What moves into a freed slot comes from above, where this pass has been. Only a new seed may,
            # between two steps, change places with a peer not looked at yet: the next pass finds that one.
            if self._seen[slot] < before:
                self.remove(slot)
            slot -= 1
        return slot

    def _swap(self, one: int, other: int) -> None:
        if one == other:
            return
        first, second = self.address(one), self.address(other)
        self._place(first, other)
        self._place(second, one)
        width = self._width
        self._addresses[one * width : (one + 1) * width] = second
        self._addresses[other * width : (other + 1) * width] = first
        first_id, second_id = self.peer_id(one), self.peer_id(other)
        self._ids[one * ID : (one + 1) * ID] = second_id
        self._ids[other * ID : (other + 1) * ID] = first_id
        self._seen[one], self._seen[other] = self._seen[other], self._seen[one]

    def _index(self, packed: bytes, slot: int) -> None:
        host, port = _host(packed), packed[-2:]
        held = self._hosts.get(host)
        if held is None:
            self._hosts[host] = slot
        elif isinstance(held, dict):
            held[port] = slot
        else:
            self._hosts[host] = {self.address(held)[-2:]: held, port: slot}

    def _place(self, packed: bytes, slot: int) -> None:
        held = self._hosts[_host(packed)]
        if isinstance(held, dict):
            held[packed[-2:]] = slot
        else:
            self._hosts[_host(packed)] = slot

    def _forget(self, packed: bytes) -> None:
        host = _host(packed)
        held = self._hosts[host]
        if isinstance(held, dict):
            del held[packed[-2:]]
            if len(held) == 1:
                (self._hosts[host],) = held.values()
        else:
            del self._hosts[host]


def _host(packed: bytes) -> int:
    return int.from_bytes(packed[:-2], "big")  # a number is 16 bytes smaller than bytes are
