"""What the picker and the pipeline cost a block: `python bench/picker.py`.

At 700 MiB/s a block comes every 22 µs; asking for it and taking it may cost 5 µs of that. CPU time
(it holds on a busy machine, where wall time does not), CPython 3.11 on a shared 2-core machine; one
seed: best of 5; 200 peers: one run.

    one seed, pieces of  1024 KiB,  1 blocks a turn:   2.8 µs a block
    one seed, pieces of  1024 KiB, 16 blocks a turn:   0.8 µs a block
    one seed, pieces of   256 KiB, 16 blocks a turn:   1.0 µs a block
    one seed, pieces of    16 KiB, 16 blocks a turn:   5.0 µs a block (a piece each: at the limit)
    100,000 pieces, 200 peers:   1.9 ms a join with half the pieces
    100,000 pieces, 200 peers:   1.0 µs a have
    100,000 pieces, 200 peers:    37 µs a piece of 16 blocks, all told
    100,000 pieces, 200 peers:    70 µs to name a piece where the peer has only common ones
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from random import Random
from time import process_time

from bittwist.metainfo.bitfield import Bitfield
from bittwist.metainfo.geometry import BLOCK, Geometry
from bittwist.swarm.picker import Picker
from bittwist.swarm.pipeline import Pipeline
from bittwist.swarm.rarest import Rarest

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
BUDGET = 64 * MIB  # of the pieces in flight (DESIGN.md)


def one_seed(piece_length: int, total_size: int, turn: int) -> float:
    """µs a block, `turn` blocks coming between two picks: room, pick, requested, received twice, verified."""
    geometry = Geometry(piece_length, total_size)
    picker = Picker(geometry, Random(1), max_active=max(1, BUDGET // piece_length))
    picker.joined(0, Bitfield.full(geometry.num_pieces))
    pipeline = Pipeline()
    pipeline.limit(500)
    outstanding: deque[tuple[int, int, int]] = deque()
    now, blocks = 0.0, 0
    started = process_time()
    while True:
        room = pipeline.room(now)
        picked = picker.pick(0, room, now=now)
        pipeline.requested(picked, now)
        outstanding.extend(picked)
        if not outstanding:
            break
        count = min(turn, len(outstanding))
        arrived = [(*outstanding.popleft()[:2], b"") for _ in range(count)]
        for index in picker.came(0, pipeline.came(arrived, now)).whole:
            picker.verified(index)
        blocks += count
        now += count * 22e-6
    assert picker.have.complete and blocks == total_size // BLOCK
    return (process_time() - started) / blocks * 1e6


class Crowd:
    """100,000 pieces, 200 peers that have a random half each."""

    PIECES, PEERS = 100_000, 200

    def __init__(self) -> None:
        self.random = Random(2)
        self.picker = Picker(
            Geometry(256 * KIB, self.PIECES * 256 * KIB), self.random, max_active=256, random_first=0
        )
        self.full = [self.some(0.5) for _ in range(self.PEERS)]

    def some(self, share: float) -> Bitfield:
        bitfield = Bitfield(self.PIECES)
        for index in self.random.sample(range(self.PIECES), int(self.PIECES * share)):
            bitfield.add(index)
        return bitfield

    def joins(self) -> float:
        """µs a join, with the pick after it (the buckets are filled anew)."""
        started = process_time()
        for key, bitfield in enumerate(self.full):
            self.picker.joined(key, bitfield)
            self.picker.pick(key, 16, now=0.0)
        cost = (process_time() - started) / self.PEERS * 1e6
        self.picker.restore(self.picker.have)  # forgets what was asked
        return cost

    def haves(self, count: int = 50_000) -> float:
        """µs a have message."""
        haves = [
            (self.random.randrange(self.PEERS), self.random.randrange(self.PIECES)) for _ in range(count)
        ]
        started = process_time()
        for key, index in haves:
            self.picker.peer_have(key, index)
        return (process_time() - started) / count * 1e6

    def pieces(self, count: int = 5_000) -> float:
        """µs a piece that is begun, fetched (16 blocks) and verified, each by another peer."""
        started = process_time()
        for number in range(count):
            key = number % self.PEERS
            arrived = [(index, begin, b"") for index, begin, _ in self.picker.pick(key, 16, now=0.0)]
            for index in self.picker.came(key, arrived).whole:
                self.picker.verified(index)
        return (process_time() - started) / count * 1e6

    def poor(self, count: int = 2_000) -> float:
        """µs to name a piece for a peer that has ten, none of them among the rarest."""
        availability = self.picker.availability
        rarest = Rarest(availability, Bitfield.full(self.PIECES))
        bitfield = Bitfield(self.PIECES)
        for index in sorted(range(self.PIECES), key=availability.__getitem__)[-10:]:
            bitfield.add(index)
        full = Bitfield.full(self.PIECES)
        started = process_time()
        for _ in range(count):
            rarest.discard(rarest.pick(full, self.random) or 0)  # as others go on
            assert rarest.pick(bitfield, self.random) is not None
        return (process_time() - started) / count * 1e6


def best(measure: Callable[[], float], rounds: int = 5) -> float:
    return min(measure() for _ in range(rounds))


def main() -> None:
    for piece_length, turn in ((MIB, 1), (MIB, 16), (256 * KIB, 16), (16 * KIB, 16)):
        cost = best(partial(one_seed, piece_length, GIB // 4, turn))
        print(
            f"one seed, pieces of {piece_length // KIB:5} KiB, {turn:2} blocks a turn: {cost:6.2f} µs a block"
        )
    crowd = Crowd()
    print(f"100,000 pieces, 200 peers: {crowd.joins() / 1000:6.2f} ms a join with half the pieces")
    print(f"100,000 pieces, 200 peers: {crowd.haves():6.2f} µs a have")
    print(f"100,000 pieces, 200 peers: {crowd.pieces():6.2f} µs a piece of 16 blocks, all told")
    print(
        f"100,000 pieces, 200 peers: {crowd.poor():6.2f} µs to name a piece where a peer has common ones only"
    )


if __name__ == "__main__":
    main()
