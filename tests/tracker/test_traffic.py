"""What users move: differences between announces, without counting twice, in bounded memory."""

import tracemalloc
from random import Random
from unittest import TestCase

from hypothesis import given
from hypothesis import strategies as st

from bittwist.tracker.accounts import SESSION
from bittwist.tracker.traffic import FORGET_AFTER, MAX_SESSIONS, Traffic
from tests.scale import SEED, runs

GIB = 1 << 30
S, T = b"s" * 16, b"t" * 16


class TrafficTests(TestCase):
    def setUp(self) -> None:
        self.traffic = Traffic(GIB)

    def test_the_first_announce_counts_nothing_and_the_next_what_came_since(self) -> None:
        self.assertEqual(self.traffic.moved("ann", S, 5000, 700, 0), (0, 0))
        self.assertEqual(self.traffic.moved("ann", S, 5600, 900, 10), (600, 200))
        self.assertEqual(self.traffic.moved("ann", S, 5600, 900, 20), (0, 0))

    def test_a_counter_that_goes_back_starts_anew(self) -> None:
        self.traffic.moved("ann", S, 5000, 5000, 0)
        self.assertEqual(self.traffic.moved("ann", S, 0, 6000, 10), (0, 1000))
        self.assertEqual(self.traffic.moved("ann", S, 300, 6000, 20), (300, 0))

    def test_sessions_and_users_are_apart(self) -> None:
        self.traffic.moved("ann", S, 100, 0, 0)
        self.assertEqual(self.traffic.moved("ann", T, 900, 0, 1), (0, 0))
        self.assertEqual(self.traffic.moved("bob", S, 900, 0, 1), (0, 0))
        self.assertEqual(self.traffic.moved("ann", S, 150, 0, 2), (50, 0))

    def test_the_last_announce_counts_and_ends_the_session(self) -> None:
        self.traffic.moved("ann", S, 100, 0, 0)
        self.assertEqual(self.traffic.moved("ann", S, 150, 0, 1, ended=True), (50, 0))
        self.assertEqual(len(self.traffic), 0)
        self.assertEqual(self.traffic.moved("ann", S, 200, 0, 2), (0, 0))

    def test_what_is_older_than_what_is_known_is_passed_over(self) -> None:
        self.traffic.moved("ann", S, 100, 0, 0)
        self.traffic.moved("ann", S, 300, 0, 20)
        self.assertEqual(self.traffic.moved("ann", S, 200, 0, 10), (0, 0))
        self.assertEqual(self.traffic.moved("ann", S, 400, 0, 30), (100, 0))

    def test_no_more_is_believed_than_a_line_can_carry(self) -> None:
        self.traffic.moved("ann", S, 0, 0, 0)
        self.assertEqual(self.traffic.moved("ann", S, 2**63, 2**64 - 1, 10), (10 * GIB, 10 * GIB))

    def test_a_user_that_is_forgotten_begins_anew(self) -> None:
        self.traffic.moved("ann", S, 100, 0, 0)
        self.traffic.forget("ann")
        self.traffic.forget("nobody")
        self.assertEqual((len(self.traffic), list(self.traffic)), (0, []))
        self.assertEqual(self.traffic.moved("ann", S, 200, 0, 1), (0, 0))

    def test_over_its_cap_a_user_loses_its_own_oldest(self) -> None:
        traffic = Traffic(GIB, sessions_of_user=3)
        traffic.moved("bob", S, 0, 0, 0)
        for number in range(10):
            traffic.moved("ann", bytes([number]), 0, 0, number)
        self.assertEqual(len(traffic), 4)
        self.assertEqual(traffic.moved("bob", S, 50, 0, 20), (50, 0))
        self.assertEqual(traffic.moved("ann", bytes([7]), 50, 0, 20), (50, 0))
        self.assertEqual(traffic.moved("ann", bytes([6]), 50, 0, 20), (0, 0))

    def test_over_the_cap_of_all_who_is_unheard_of_for_longest_loses(self) -> None:
        traffic = Traffic(GIB, sessions=5)
        for number in range(50):
            traffic.moved(f"user {number}", S, 0, 0, number)
            self.assertLessEqual(len(traffic), 5)
        self.assertEqual(traffic.moved("user 49", S, 50, 0, 60), (50, 0))
        self.assertEqual(traffic.moved("user 0", S, 50, 0, 60), (0, 0))

    def test_it_takes_some_tens_of_megabytes_at_most_however_many_users_there_are(self) -> None:
        most = runs(5_000, MAX_SESSIONS)
        for each in (1, 3, 500):
            random = Random(SEED)
            tracemalloc.start()
            traffic = Traffic(GIB, sessions=most)
            for number in range(2 * most):
                counters = random.getrandbits(64), random.getrandbits(64)
                traffic.moved(
                    f"user {number // each}", random.randbytes(SESSION), *counters, 1e9 + number / 99
                )
            used = tracemalloc.get_traced_memory()[0]
            tracemalloc.stop()
            self.assertLess(used * MAX_SESSIONS / most, 44 << 20, each)

    def test_who_stays_away_is_forgotten_by_and_by(self) -> None:
        for number in range(20):
            self.traffic.moved(f"user {number}", S, 0, 0, 0)
        for number in range(30):
            self.traffic.moved("ann", S, 0, 0, FORGET_AFTER + 1 + number)
        self.assertEqual(len(self.traffic), 1)

    @given(
        st.lists(
            st.tuples(
                st.sampled_from(["ann", "bob"]),
                st.sampled_from([S, T]),
                st.integers(0, 1000),
                st.integers(0, 1000),
                st.integers(0, 50),
                st.booleans(),
            ),
            max_size=60,
        )
    )
    def test_it_counts_what_a_naive_model_counts(
        self, announces: list[tuple[str, bytes, int, int, int, bool]]
    ) -> None:
        traffic = Traffic(GIB)
        last: dict[tuple[str, bytes], tuple[int, int, int]] = {}
        for user, session, up, down, at, ended in announces:
            before = last.get((user, session))
            wanted = (0, 0)
            if before is None or at >= before[2]:
                if before is not None:
                    wanted = (max(0, up - before[0]), max(0, down - before[1])) if at > before[2] else (0, 0)
                last[user, session] = (up, down, at)
                if ended:
                    del last[user, session]
            self.assertEqual(traffic.moved(user, session, up, down, at, ended=ended), wanted)
            self.assertEqual(len(traffic), len(last))
        again = Traffic(GIB)
        for line in traffic:
            again.moved(*line)
        self.assertEqual(list(again), list(traffic))
