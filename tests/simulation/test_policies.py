"""Whole swarms of policies over a simulated clock: no sockets, no bytes, only who asks whom and when.

A block takes its time through the giver's and the taker's line (bytes a second, one after the
other), and then it is there. Every run prints its seed where it fails.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from random import Random

import pytest

from bittwist.metainfo.bitfield import Bitfield
from bittwist.metainfo.geometry import Geometry
from bittwist.swarm.blame import Blame
from bittwist.swarm.choker import Choker, ChokerSettings, PeerRates
from bittwist.swarm.picker import Picker
from bittwist.swarm.pipeline import Pipeline
from bittwist.swarm.rate import Rate
from tests.scale import SEED, runs
from tests.swarm.single import received, was_asked

MIB = 1 << 20
LATENCY = 0.02
VERIFYING = 0.005  # seconds that a piece is in the disk thread

Block = tuple[int, int, int]


@dataclass
class Link:
    """What one node keeps of another."""

    other: Node
    pipeline: Pipeline = field(default_factory=Pipeline)
    choked_by_it: bool = True
    choked_by_us: bool = True
    interested: bool = False  # it in us
    asked: deque[Block] = field(default_factory=deque)  # it of us, not sent yet
    given: Rate = field(default_factory=Rate)


class Node:
    """A peer: the policies under test, put together as a session does."""

    def __init__(
        self, swarm: Swarm, key: int, *, line: float, share: float, bad: float, seed: bool, max_active: int
    ) -> None:
        self.swarm, self.key, self.line, self.bad = swarm, key, line, bad
        self.host = f"192.0.2.{key}"
        self.picker = Picker(swarm.geometry, Random(f"{swarm.seed} {key}"), max_active=max_active)
        if seed:
            self.picker.restore(Bitfield.full(swarm.geometry.num_pieces))
        self.share = share
        self.choker = Choker(ChokerSettings(), Random(f"{swarm.seed} {key} choker"))
        self.blame = Blame()
        self.links: dict[int, Link] = {}
        self.blocks: dict[tuple[int, int], bytes] = {}  # what came of pieces in flight, by digest
        self.sending = False
        self.uploaded = self.wasted = self.bad_pieces = 0
        self.banned: list[int] = []
        self.bad_pieces_at_ban: dict[int, int] = {}
        self.failures_of: dict[int, int] = {}
        self.done_at: float | None = 0.0 if seed else None

    def meet(self, other: Node) -> None:
        self.links[other.key] = Link(other)
        self.picker.joined(other.key, other.picker.have)

    def part(self, key: int) -> None:
        if self.links.pop(key, None) is not None:
            self.picker.left(key)

    # Second by second

    def tick(self) -> None:
        now = self.swarm.now
        for key, link in tuple(self.links.items()):
            overdue = link.pipeline.timed_out(now)
            if overdue:
                self.picker.released(key, overdue)
            self.ask(key)

    def choke(self) -> None:
        now = self.swarm.now
        rates = [
            PeerRates(
                key,
                link.interested,
                link.pipeline.rate.per_second(now),
                link.given.per_second(now),
                link.pipeline.snubbed(now),
                0.0,
                link.other.host,
            )
            for key, link in self.links.items()
        ]
        chosen = set(self.choker.choose(rates, now=now, seeding=self.picker.have.complete))
        for key, link in self.links.items():
            choked = key not in chosen
            if choked is not link.choked_by_us:
                link.choked_by_us = choked
                if choked:
                    link.asked.clear()
                self.swarm.later(LATENCY, link.other.choked, self.key, choked)

    def choked(self, key: int, choked: bool) -> None:
        link = self.links.get(key)
        if link is None:
            return
        link.choked_by_it = choked
        if choked:
            self.picker.released(key, link.pipeline.clear())
        self.ask_all()

    # Asking

    def ask_all(self) -> None:
        for key in tuple(self.links):
            self.ask(key)

    def ask(self, key: int) -> None:
        link = self.links.get(key)
        if link is None:
            return
        interested = self.picker.interesting(key)
        back = link.other.links.get(self.key)
        if back is not None and back.interested is not interested:
            back.interested = interested
        if link.choked_by_it:
            return
        room = link.pipeline.room(self.swarm.now)
        blocks = self.picker.pick(key, room, now=self.swarm.now) if room else []
        if blocks:
            link.pipeline.requested(blocks, self.swarm.now)
            self.swarm.later(LATENCY, link.other.requested, self.key, blocks)

    def cancelled(self, key: int, block: Block) -> None:
        link = self.links.get(key)
        if link is not None and block in link.asked:
            link.asked.remove(block)

    # Giving

    def requested(self, key: int, blocks: list[Block]) -> None:
        link = self.links.get(key)
        if link is not None and not link.choked_by_us:
            link.asked.extend(blocks)
            self.send()

    def send(self) -> None:
        """One block after the other over the line, each taker in its turn."""
        if self.sending:
            return
        key = next((key for key, link in self.links.items() if link.asked), None)
        if key is None:
            return
        link = self.links.pop(key)
        self.links[key] = link  # to the end of the round
        block = link.asked.popleft()
        self.sending = True
        self.uploaded += block[2]
        link.given.add(block[2], self.swarm.now)
        self.swarm.later(block[2] / min(self.line, link.other.line), self.sent, link.other, block)

    def sent(self, other: Node, block: Block) -> None:
        self.sending = False
        bad = self.bad and self.swarm.random.random() < self.bad
        if block[0] in self.swarm.spoiled.get(self.key, ()):
            bad = True
        digest = self.swarm.random.randbytes(8) if bad else b"good"
        self.swarm.later(LATENCY, other.received, self.key, block, digest)
        self.send()

    # Taking

    def received(self, key: int, block: Block, digest: bytes) -> None:
        link = self.links.get(key)
        index, begin, length = block
        if link is None or not was_asked(link.pipeline, index, begin, self.swarm.now):
            return
        receipt = received(self.picker, key, index, begin)
        if not receipt.fresh:
            self.wasted += length
        else:
            self.blocks[index, begin] = digest
            for other in receipt.others:
                self.links[other].pipeline.cancelled(index, begin)
                self.swarm.later(LATENCY, self.links[other].other.cancelled, self.key, block)
            if receipt.complete:
                self.swarm.later(VERIFYING, self.verify, index)
        self.ask(key)

    def verify(self, index: int) -> None:
        geometry = self.swarm.geometry
        digests = [self.blocks.pop((index, begin)) for begin, _ in geometry.blocks(index)]
        if all(digest == b"good" for digest in digests):
            if self.blame.suspect(index):
                self.ban(self.blame.passed(index, digests))
            self.picker.verified(index)
            if self.picker.have.complete:
                self.done_at = self.swarm.now
            for link in tuple(self.links.values()):
                self.swarm.later(LATENCY, link.other.have, self.key, index)
        else:
            self.bad_pieces += 1
            givers = self.picker.failed(index)
            for key in dict.fromkeys(givers.values()):
                self.failures_of[key] = self.failures_of.get(key, 0) + 1
            hosts = {begin: self.swarm.nodes[key].host for begin, key in givers.items()}
            self.ban(self.blame.failed(index, hosts, digests))
            holders = {
                link.other.host: key
                for key, link in self.links.items()
                if self.picker.offers(key, index) and not link.choked_by_it
            }
            if holders:
                self.picker.reserve(index, holders[self.blame.choose(index, tuple(holders))])
        self.ask_all()

    def ban(self, hosts: tuple[str, ...]) -> None:
        for key in [key for key, link in self.links.items() if link.other.host in hosts]:
            self.banned.append(key)
            self.bad_pieces_at_ban[key] = self.failures_of.get(key, 0)
            other = self.links[key].other
            self.part(key)
            other.part(self.key)

    def have(self, key: int, index: int) -> None:
        if key in self.links:
            self.picker.peer_have(key, index)
            self.ask(key)


class Swarm:
    """The clock, the nodes, and what is under way between them."""

    def __init__(self, seed: int, size: int, piece_length: int) -> None:
        self.seed = seed
        self.random = Random(f"{seed} swarm")
        self.geometry = Geometry(piece_length, size)
        self.nodes: dict[int, Node] = {}
        self.spoiled: dict[int, set[int]] = {}  # node → pieces it always sends wrong
        self.now = 0.0
        self._events: list[tuple[float, int, object, tuple[object, ...]]] = []
        self._numbers = count()

    def node(
        self,
        *,
        line: float = MIB,
        share: float = 1.0,
        bad: float = 0.0,
        seed: bool = False,
        max_active: int = 64,
    ) -> Node:
        key = len(self.nodes) + 1
        node = self.nodes[key] = Node(
            self, key, line=line, share=share, bad=bad, seed=seed, max_active=max_active
        )
        return node

    def connect(self) -> None:
        for node in self.nodes.values():
            for other in self.nodes.values():
                if node is not other:
                    node.meet(other)

    def later(self, delay: float, call: object, *args: object) -> None:
        heappush(self._events, (self.now + delay, next(self._numbers), call, args))

    def run(self, until: list[Node], limit: float = 3600.0) -> float:
        """Until these are complete; how long it took."""
        self._second(0)
        while any(node.done_at is None for node in until):
            self.now, _, call, args = heappop(self._events)
            assert self.now < limit, f"not complete after {limit} s, seed {self.seed}"
            assert callable(call)
            call(*args)
        return self.now

    def _second(self, number: int) -> None:
        for node in self.nodes.values():
            if number % 10 == 0 or number < 3:
                node.choke()
            node.tick()
        self.later(1.0, self._second, number + 1)


@pytest.mark.parametrize("run", range(runs(2, 20)))
def test_one_seed_serves_five_leeches_with_less_than_two_copies(run: int) -> None:
    swarm = Swarm(SEED + run, 32 * MIB, 128 << 10)
    seed = swarm.node(seed=True)
    leeches = [swarm.node() for _ in range(5)]
    swarm.connect()
    took = swarm.run(leeches)
    copies = seed.uploaded / (32 * MIB)
    assert copies < 2.0, f"{copies} copies, seed {swarm.seed}"
    assert took < 2.5 * 32, "all at the seed's line, one by one, would take 160 s"
    for leech in leeches:
        assert leech.wasted < 0.03 * 32 * MIB, f"{leech.wasted} bytes came twice, seed {swarm.seed}"


def test_a_slow_peer_does_not_hold_up_the_end() -> None:
    swarm = Swarm(SEED, 8 * MIB, 256 << 10)
    fast, slow, leech = swarm.node(seed=True), swarm.node(seed=True, line=2000.0), swarm.node()
    swarm.connect()
    assert swarm.run([leech]) < 13, "8 s by the fast one alone"
    assert fast.uploaded > 0.9 * 8 * MIB and slow.uploaded < MIB


def test_slow_peers_do_not_hold_up_a_fast_one_at_the_bound_on_memory() -> None:
    swarm = Swarm(SEED, 16 * MIB, 2 * MIB)
    swarm.node(seed=True)
    for _ in range(10):
        swarm.node(seed=True, line=4000.0)
    leech = swarm.node(max_active=2)
    swarm.connect()
    assert swarm.run([leech]) < 32, "16 s by the fast one alone"


def test_a_swarm_goes_on_when_its_seed_leaves_after_one_copy() -> None:
    swarm = Swarm(SEED, 8 * MIB, 128 << 10)
    seed = swarm.node(seed=True)
    leeches = [swarm.node() for _ in range(4)]
    swarm.connect()

    def leave_when_done() -> None:
        pieces = {index for leech in leeches for index in leech.picker.have}
        if len(pieces) < swarm.geometry.num_pieces:
            swarm.later(0.5, leave_when_done)
            return
        for leech in leeches:
            leech.part(seed.key)
            seed.part(leech.key)

    leave_when_done()
    swarm.run(leeches, limit=120)


def poisoned(seed: int, honest: int, poisoners: int, bad: float, size: int = 8 * MIB) -> tuple[Node, float]:
    """A leech among honest seeds and poisoners: T7, T8 of SECURITY.md, as far as policies go."""
    swarm = Swarm(seed, size, 256 << 10)
    good = [swarm.node(seed=True) for _ in range(honest)]
    evil = [swarm.node(seed=True, bad=bad) for _ in range(poisoners)]
    leech = swarm.node(line=4 * MIB)
    swarm.connect()
    took = swarm.run([leech], limit=600)
    assert not set(leech.banned) & {node.key for node in good}, f"an honest host was banned, seed {seed}"
    for node in evil:
        if leech.failures_of.get(node.key, 0):
            assert node.key in leech.banned, f"a poisoner was not found, seed {seed}"
    return leech, took


@pytest.mark.parametrize("honest", [1, 3])
def test_a_poisoner_is_proven_guilty_within_three_pieces_and_nobody_else(honest: int) -> None:
    """T7."""
    for run in range(runs(5, 100)):
        leech, _ = poisoned(SEED + run, honest, 1, 0.10)
        assert leech.bad_pieces <= 3, f"{leech.bad_pieces} bad pieces, seed {SEED + run}"


def test_one_honest_peer_among_twenty_is_enough() -> None:
    """T8."""
    for run in range(runs(2, 100)):
        leech, _ = poisoned(SEED + run, 1, 19, 1.0)
        assert leech.picker.have.complete


def test_who_poisons_only_the_last_piece_is_found() -> None:
    """T8: and that piece is asked for again within 2 s."""
    for run in range(runs(3, 100)):
        swarm = Swarm(SEED + run, 4 * MIB, 256 << 10)
        swarm.node(seed=True, line=MIB / 4)
        evil = swarm.node(seed=True)
        leech = swarm.node()
        last = swarm.geometry.num_pieces - 1
        swarm.spoiled[evil.key] = {last}
        have = Bitfield.full(last + 1)
        have.discard(last)
        leech.picker.restore(have)
        swarm.connect()
        assert swarm.run([leech], limit=60) < 6, "a second at the honest peer's line"
        assert leech.banned in ([], [evil.key])
