"""What each address holds of a tracker's memory: how many peers, in which swarms; and who holds most."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from bittwist.tracker.buckets import Buckets

HEAVY = 64  # peers of one address from which on it has a record of its own
NUMBER = 4  # bytes of a swarm's number


class _Record:
    """An address of many peers: how many in each swarm, the swarm it announced to longest ago first."""

    __slots__ = ("peers", "swarms")

    def __init__(self) -> None:
        self.swarms: dict[int, int] = {}
        self.peers = 0


class Holdings:
    """Counts the peers of every host, 4 or 8 bytes (`peers.host_of`), in swarms that have numbers.

    Nearly all hosts have a few peers: those cost a packed entry each, about ten bytes. Whoever has `HEAVY`
    or more gets a record, which knows in O(1) what the bounds need: how many swarms, and the oldest of them.
    `announced(host, number)` says when a host last announced to a swarm, of a host that has no record.
    """

    def __init__(self, announced: Callable[[bytes, int], int]) -> None:
        self._announced = announced
        self._light = {4: Buckets(4 + NUMBER, 4), 8: Buckets(8 + NUMBER, 8)}
        self._heavy: dict[bytes, _Record] = {}
        # The hosts with a record, by the bit length of the number of their peers; in order of arrival.
        self._tiers: dict[int, dict[bytes, None]] = {}

    @property
    def any_heavy(self) -> bool:
        """Whether anybody has a record: else `renew` has nothing to do."""
        return bool(self._heavy)

    def add(self, host: bytes, number: int) -> None:
        """The host has one more peer in that swarm."""
        record = self._heavy.get(host)
        if record is not None:
            record.swarms[number] = record.swarms.pop(number, 0) + 1
            self._count(host, record, record.peers + 1)
            return
        light = self._light[len(host)]
        light.add(host + number.to_bytes(NUMBER, "big"))
        entries = list(light.find_all(host))
        if len(entries) >= HEAVY:
            self._promote(host, entries)

    def remove(self, host: bytes, number: int) -> None:
        """It has one peer less there."""
        record = self._heavy.get(host)
        if record is None:
            self._light[len(host)].remove(host + number.to_bytes(NUMBER, "big"))
            return
        if record.swarms[number] == 1:
            del record.swarms[number]
        else:
            record.swarms[number] -= 1
        self._count(host, record, record.peers - 1)
        if record.peers < HEAVY // 2:
            self._demote(host, record)

    def renew(self, host: bytes, number: int) -> None:
        """It announced to that swarm again."""
        record = self._heavy.get(host)
        if record is not None:
            record.swarms[number] = record.swarms.pop(number)

    def reaches(self, host: bytes, swarms: int) -> bool:
        """Whether the host has peers in so many swarms."""
        record = self._heavy.get(host)
        if record is not None:
            return len(record.swarms) >= swarms
        return swarms < HEAVY and len(self._numbers(host)) >= swarms

    def oldest(self, host: bytes) -> int:
        """The swarm to which the host announced longest ago; it is in one."""
        record = self._heavy.get(host)
        if record is not None:
            return next(iter(record.swarms))
        return min(self._numbers(host), key=lambda number: self._announced(host, number))

    def greediest(self, asker: bytes) -> bytes | None:
        """A host that holds about the most peers, to a factor of two; the asker, if it is among those.

        None where nobody has as many as `HEAVY`.
        """
        if not self._tiers:
            return None
        most = self._tiers[max(self._tiers)]
        return asker if asker in most else next(iter(most))

    def settle(self) -> None:
        """Sort all records by their last announces: to be called when peers were added in another order."""
        for host, record in self._heavy.items():
            numbers = sorted(record.swarms, key=lambda number: self._announced(host, number))
            record.swarms = {number: record.swarms[number] for number in numbers}

    def _numbers(self, host: bytes) -> list[int]:
        entries = self._light[len(host)].find_all(host)
        return list(dict.fromkeys(int.from_bytes(entry[-NUMBER:], "big") for entry in entries))

    def _promote(self, host: bytes, entries: Iterable[bytes]) -> None:
        record = self._heavy[host] = _Record()
        for number in sorted(self._numbers(host), key=lambda number: self._announced(host, number)):
            record.swarms[number] = 0
        peers = 0
        for entry in entries:
            record.swarms[int.from_bytes(entry[-NUMBER:], "big")] += 1
            self._light[len(host)].remove(entry)
            peers += 1
        self._count(host, record, peers)

    def _demote(self, host: bytes, record: _Record) -> None:
        del self._heavy[host]
        self._count(host, record, 0)
        for number, peers in record.swarms.items():
            for _ in range(peers):
                self._light[len(host)].add(host + number.to_bytes(NUMBER, "big"))

    def _count(self, host: bytes, record: _Record, peers: int) -> None:
        before, after = record.peers.bit_length(), peers.bit_length()
        record.peers = peers
        if before == after:
            return
        if before:
            del self._tiers[before][host]
            if not self._tiers[before]:
                del self._tiers[before]
        if after:
            self._tiers.setdefault(after, {})[host] = None
