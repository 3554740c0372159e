"""Random swarms: no block is lost, none is counted twice, every piece is in one state, the bound holds."""

from random import Random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from bittwist.metainfo.bitfield import Bitfield
from bittwist.metainfo.geometry import BLOCK, Geometry
from bittwist.swarm.picker import Picker, PieceState
from bittwist.swarm.requests import MAX_COPIES
from tests.scale import runs
from tests.swarm.single import flying, received, seed_joins

KEYS = st.integers(0, 5)
CHANCE = st.randoms(use_true_random=False)


class Swarm(RuleBasedStateMachine):
    """A picker, and beside it what must be true of it."""

    @initialize(
        pieces=st.integers(1, 9),
        blocks=st.integers(1, 4),
        short=st.integers(0, BLOCK - 1),
        max_active=st.integers(1, 4),
        seed=st.integers(0, 99),
    )
    def begin(self, pieces: int, blocks: int, short: int, max_active: int, seed: int) -> None:
        self.geometry = Geometry(blocks * BLOCK, pieces * blocks * BLOCK - short)
        self.pieces = pieces
        self.max_active = max_active
        self.picker = Picker(self.geometry, Random(seed), max_active=max_active)
        self.now = 0.0
        self.peers: dict[int, set[int]] = {}
        self.asked: dict[int, dict[tuple[int, int], int]] = {}
        self.late: dict[int, dict[tuple[int, int], int]] = {}
        self.came: dict[int, dict[int, int]] = {}  # piece in flight → begin → who gave it
        self.have: set[int] = set()
        self.levels = bytes([4]) * pieces
        self.began_urgent = False

    @rule(random=CHANCE, skipped=st.sampled_from([0.0, 0.3, 0.9, 1.0]), sequential=st.booleans())
    def prioritise(self, random: Random, skipped: float, sequential: bool) -> None:
        """Other pieces are wanted, and some more than others: nothing that came of a wanted one is lost."""
        self.levels = bytes(
            0 if random.random() < skipped else random.choice((1, 4, 7, 8)) for _ in range(self.pieces)
        )
        self.picker.prioritise(self.levels, sequential=sequential)
        self._forget(wanted=False)

    @rule(random=CHANCE, at=st.sampled_from([0.0, 3.0, 100.0]))
    def set_deadline(self, random: Random, at: float) -> None:
        self.picker.deadlines.add(random.randrange(self.pieces), self.now + at)
        self.began_urgent = True

    @rule()
    def clear_deadlines(self) -> None:
        self.picker.deadlines.clear()

    @rule(key=KEYS, random=CHANCE, share=st.sampled_from([0.0, 0.3, 0.9, 1.0]))
    def join(self, key: int, random: Random, share: float) -> None:
        if key in self.peers:
            return
        has = {index for index in range(self.pieces) if random.random() < share}
        bitfield = Bitfield(self.pieces)
        for index in has:
            bitfield.add(index)
        self.picker.joined(key, bitfield)
        self.peers[key], self.asked[key], self.late[key] = has, {}, {}

    @rule(key=KEYS, random=CHANCE)
    def have_message(self, key: int, random: Random) -> None:
        if key in self.peers:
            index = random.randrange(self.pieces)
            self.picker.peer_have(key, index)
            self.peers[key].add(index)

    @rule(key=KEYS)
    def leave(self, key: int) -> None:
        if key in self.peers:
            self.picker.left(key)
            del self.peers[key], self.asked[key], self.late[key]

    @rule(
        key=KEYS, count=st.integers(1, 12), share=st.booleans(), passed=st.sampled_from([0.0, 0.4, 2.0, 11.0])
    )
    def pick(self, key: int, count: int, share: bool, passed: float) -> None:
        if key not in self.peers:
            return
        self.now += passed
        blocks = self.picker.pick(key, count, now=self.now, share=share)
        self._forget()
        assert len(blocks) <= count
        assert len({block[:2] for block in blocks}) == len(blocks)
        for index, begin, length in blocks:
            assert index in self.peers[key] and index not in self.have and self.levels[index]
            assert length == self.geometry.block_length(index, begin)
            assert begin not in self.came.get(index, {}), "it has come"
            assert (index, begin) not in self.asked[key], "it was asked for"
            others = sum((index, begin) in asked for asked in self.asked.values())
            assert others < MAX_COPIES
            self.asked[key][index, begin] = length
            self.late[key].pop((index, begin), None)

    @rule(key=KEYS, random=CHANCE, again=st.booleans())
    def receive(self, key: int, random: Random, again: bool) -> None:
        """A block comes that was asked for; or one that was, before a choke or a cancel."""
        source = self.late if again else self.asked
        if not source.get(key):
            return
        index, begin = block = random.choice(list(source[key]))
        del source[key][block]
        state = self.picker.state(index)
        receipt = received(self.picker, key, index, begin)
        fresh = state is PieceState.ACTIVE and begin not in self.came.get(index, {})
        assert receipt.fresh is fresh
        if not fresh:
            return
        came = self.came.setdefault(index, {})
        came[begin] = key
        expected = [other for other, asked in self.asked.items() if block in asked]
        assert sorted(receipt.others) == sorted(expected)
        for other in receipt.others:
            self.late[other][block] = self.asked[other].pop(block)
        assert receipt.complete is (len(came) == self.geometry.num_blocks(index))

    @rule(key=KEYS, random=CHANCE, whole=st.booleans())
    def release(self, key: int, random: Random, whole: bool) -> None:
        """It chokes us, or some requests take too long."""
        if key not in self.peers:
            return
        blocks = [block for block in self.asked[key] if whole or random.random() < 0.5]
        for block in blocks:
            self.late[key][block] = self.asked[key].pop(block)
        self.picker.released(key, [(index, begin, self.late[key][index, begin]) for index, begin in blocks])

    @rule(random=CHANCE, good=st.booleans(), reserve=st.booleans())
    def check(self, random: Random, good: bool, reserve: bool) -> None:
        verifying = [
            index for index in range(self.pieces) if self.picker.state(index) is PieceState.VERIFYING
        ]
        if not verifying:
            return
        index = random.choice(verifying)
        came = self.came.pop(index)
        if good:
            self.picker.verified(index)
            self.have.add(index)
            self._forget(wanted=False)
        else:
            assert self.picker.failed(index) == came
            if reserve and self.peers:
                self.picker.reserve(index, random.choice(list(self.peers)))

    def _forget(self, wanted: bool = True) -> None:
        for index in self.picker.forgotten():
            assert wanted or not self.levels[index]
            self.came.pop(index, None)
            for (
                key,
                asked,
            ) in self.asked.items():  # of what is wanted only pieces nobody is asked for are given up
                for block in [block for block in asked if block[0] == index]:
                    assert not self.levels[index]
                    self.late[key][block] = asked.pop(block)

    @invariant()
    def every_piece_is_in_one_state(self) -> None:
        states = [self.picker.state(index) for index in range(self.pieces)]
        assert {index for index, state in enumerate(states) if state is PieceState.HAVE} == self.have
        assert set(self.picker.have) == self.have
        for index, state in enumerate(states):
            came = len(self.came.get(index, {}))
            match state:
                case PieceState.WANTED | PieceState.UNWANTED | PieceState.HAVE:
                    assert came == 0
                    assert state is PieceState.HAVE or (state is PieceState.WANTED) is (
                        self.levels[index] > 0
                    )
                case PieceState.ACTIVE:
                    assert came < self.geometry.num_blocks(index)
                case PieceState.VERIFYING:
                    assert came == self.geometry.num_blocks(index)

    @invariant()
    def no_more_pieces_are_in_flight_than_allowed(self) -> None:
        count = flying(self.picker)
        assert count <= self.max_active + 1
        if count > self.max_active:
            assert self.began_urgent

    @invariant()
    def the_counts_are_right(self) -> None:
        wanted = {index for index, level in enumerate(self.levels) if level}
        assert self.picker.wanted_left == len(wanted - self.have)
        assert self.picker.complete is (wanted <= self.have)
        for index in range(self.pieces):
            assert self.picker.availability[index] == sum(index in has for has in self.peers.values())
        for key, has in self.peers.items():
            assert self.picker.interesting(key) is bool(has & wanted - self.have)

    def teardown(self) -> None:
        """One good seed that everything can be had of ends it, whatever happened before."""
        if not hasattr(self, "picker"):
            return
        for key in list(self.peers):
            self.release(key, Random(0), True)
        self.levels = bytes([4]) * self.pieces
        self.picker.prioritise(self.levels)
        seed_joins(self.picker, 99)
        self.peers[99], self.asked[99], self.late[99] = set(range(self.pieces)), {}, {}
        for _ in range(100 * self.pieces):
            if self.picker.have.complete:
                break
            self.pick(99, 3, False, 1.0)
            self.receive(99, Random(0), False)
            self.check(Random(0), True, False)
        assert self.picker.have.complete, "a block was lost"


Swarm.TestCase.settings = settings(
    max_examples=runs(60, 2000),
    stateful_step_count=50,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestRandomSwarms = Swarm.TestCase


@given(st.randoms(use_true_random=False), st.integers(1, 3), st.integers(1, 4), st.integers(0, BLOCK - 1))
def test_blocks_in_a_row_count_as_they_would_one_by_one(
    random: Random, max_active: int, blocks: int, short: int
) -> None:
    """Two pickers live the same life; blocks come to one in rows, to the other one by one."""
    geometry = Geometry(blocks * BLOCK, 4 * blocks * BLOCK - short)
    together, apart = (Picker(geometry, Random(1), max_active=max_active) for _ in range(2))
    asked: dict[int, list[tuple[int, int, int]]] = {0: [], 1: [], 2: []}
    for key in asked:
        for picker in together, apart:
            seed_joins(picker, key)
    for step in range(60):
        key, count, late = random.randrange(3), random.randrange(1, 9), random.random()
        picked = together.pick(key, count, now=float(step), share=late < 0.3)
        assert picked == apart.pick(key, count, now=float(step), share=late < 0.3)
        assert together.forgotten() == apart.forgotten()
        asked[key] += picked
        if late < 0.2:
            for picker in together, apart:
                picker.released(key, asked[key])  # what was asked may come all the same
        random.shuffle(asked[key])
        row = [(index, begin, b"") for index, begin, _ in asked[key][:count]]
        del asked[key][:count]
        came = together.came(key, row)
        receipts = [(block, received(apart, key, *block[:2])) for block in row]
        assert came.fresh == [block for block, receipt in receipts if receipt.fresh]
        assert came.whole == [block[0] for block, receipt in receipts if receipt.complete]
        assert came.others == [(other, *block[:2]) for block, receipt in receipts for other in receipt.others]
        for index in came.whole:
            for picker in together, apart:
                picker.failed(index) if late > 0.8 else picker.verified(index)
        for index in range(geometry.num_pieces):
            assert together.state(index) is apart.state(index)
        assert together.endgame is apart.endgame
