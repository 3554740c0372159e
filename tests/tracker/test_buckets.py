"""Packed records that grow and shrink a bucket at a time."""

from collections import Counter
from random import Random
from unittest import TestCase

from hypothesis import given, settings
from hypothesis import strategies as st

from bittwist.tracker.buckets import FULL, Buckets, position
from tests.scale import SEED, runs

WIDTH, LEAD = 5, 2
# Few different bytes: leads that many records share, and records that are found across two others.
records = st.lists(st.sampled_from(b"ab"), min_size=WIDTH, max_size=WIDTH).map(bytes)
turns = st.lists(st.tuples(st.booleans(), records), max_size=200)


class BucketsTests(TestCase):
    @settings(max_examples=runs(150, 5000), deadline=None)
    @given(turns)
    def test_what_was_added_and_not_removed_is_found(self, turns: list[tuple[bool, bytes]]) -> None:
        buckets, held = Buckets(WIDTH, LEAD), Counter[bytes]()
        for adds, record in turns:
            if adds:
                buckets.add(record)
                held[record] += 1
            else:
                self.assertEqual(buckets.remove(record), held[record] > 0)
                held[record] -= held[record] > 0
            self.assertEqual(buckets.find(record), record if held[record] else None)
            for start in (record[:2], record[:3], record):
                expected = [
                    each for each, count in held.items() for _ in range(count) if each.startswith(start)
                ]
                self.assertEqual(sorted(buckets.find_all(start)), sorted(expected))
        self.assertEqual(len(buckets), held.total())

    def test_it_grows_and_shrinks_and_keeps_all(self) -> None:
        random = Random(SEED)
        buckets = Buckets(8, 4)
        held = [random.randbytes(4) + number.to_bytes(4, "big") for number in range(40 * FULL)]
        for record in held:
            buckets.add(record)
        for record in held:
            self.assertEqual(buckets.find(record[:4]), record)
        random.shuffle(held)
        while held:
            self.assertTrue(buckets.remove(held.pop()))
            if len(held) % 97 == 0:
                self.assertEqual([buckets.find(record) for record in held], held)
        self.assertEqual(len(buckets), 0)

    def test_an_addition_moves_no_more_than_a_bucket_or_two(self) -> None:
        """What an addition costs does not grow with the table: there is no pass over all of it."""
        buckets = Buckets(8, 4)
        fullest = 0
        for number in range(runs(20_000, 500_000)):
            buckets.add(Random(number).randbytes(8))
            if number % 1000 == 999:
                fullest = max(len(bucket) // 8 for bucket in buckets._buckets)
        self.assertLess(fullest, 5 * FULL)

    def test_records_are_replaced_where_they_are(self) -> None:
        buckets = Buckets(4, 2)
        buckets.add(b"abc1")
        buckets.add(b"abd1")
        buckets.replace(b"abc", b"abc2")
        self.assertEqual(sorted(buckets.find_all(b"ab")), [b"abc2", b"abd1"])

    def test_what_lies_across_two_records_is_not_found(self) -> None:
        self.assertEqual(position(b"aabbaabb", b"abba", 4), -1)
        self.assertEqual(position(b"aaaabaaa", b"baaa", 4), 4)
        self.assertEqual(position(b"aaaaaaaa", b"aa", 4, 1), 4)
