"""Rates: what passes in the long run and at once, and what a flood costs others (T19)."""

import tracemalloc
from ipaddress import IPv6Address
from random import Random
from unittest import TestCase

from hypothesis import given
from hypothesis import strategies as st

from bittwist.announce.values import Event
from bittwist.tracker import Arrival, Front
from bittwist.tracker.limits import LEAVING, AddressLimits, Rate, household
from tests.scale import SEED, SOAK, runs
from tests.tracker.arrivals import announcing, scraping


class RateTests(TestCase):
    def test_a_burst_passes_and_then_one_each_interval(self) -> None:
        rate = Rate(6, 3)  # one each ten seconds
        self.assertEqual([rate.take("a", 0.0) for _ in range(4)], [0, 0, 0, 10])
        self.assertEqual(rate.take("a", 9.0), 1.0)
        self.assertEqual(rate.take("a", 10.0), 0)
        self.assertEqual(rate.take("a", 10.0), 10.0)

    def test_what_is_refused_costs_nothing(self) -> None:
        rate = Rate(6, 1)
        rate.take("a", 0.0)
        for _ in range(100):
            rate.take("a", 5.0)
        self.assertEqual(rate.take("a", 10.0), 0)

    def test_one_does_not_pay_for_another(self) -> None:
        rate = Rate(6, 1)
        rate.take("a", 0.0)
        self.assertGreater(rate.take("a", 0.0), 0)
        self.assertEqual(rate.take("b", 0.0), 0)

    def test_full_buckets_are_forgotten(self) -> None:
        rate = Rate(60, 10)
        for number in range(1000):
            rate.take(number, 0.0)
        for number in range(1000):
            rate.take("a" + str(number % 3), 100.0 + number)
        self.assertLessEqual(len(rate), 3)

    def test_over_the_most_that_which_was_used_longest_ago_goes(self) -> None:
        rate = Rate(1, 1, most=100)
        for number in range(500):
            rate.take(number, 0.0)
        self.assertEqual(len(rate), 100)
        self.assertGreater(rate.take(499, 0.0), 0)
        self.assertEqual(rate.take(0, 0.0), 0)

    @given(
        st.integers(1, 600),
        st.integers(1, 20),
        st.lists(st.floats(0, 30), max_size=80),
    )
    def test_no_more_than_burst_and_rate_allow_pass_in_any_time(
        self, per_minute: int, burst: int, pauses: list[float]
    ) -> None:
        rate, now = Rate(per_minute, burst), 0.0
        passed: list[float] = []
        for pause in pauses:
            now += pause
            wait = rate.take("a", now)
            if not wait:
                passed.append(now)
            else:
                self.assertLessEqual(wait, 60 / per_minute + 1e-6)
        for first, begin in enumerate(passed):
            for last in range(first, len(passed)):
                allowed = burst + (passed[last] - begin) * per_minute / 60
                self.assertLessEqual(last - first + 1, allowed + 1e-6)


class AddressLimitsTests(TestCase):
    def setUp(self) -> None:
        self.now = 0.0
        self.hook = AddressLimits(lambda: self.now, Rate(60, 2), Rate(60, 1))

    def ask(self, host: str) -> bool:
        return announcing(self.hook, Arrival(Front.UDP, host)) is None

    def test_a_refusal_says_when_to_come_back(self) -> None:
        for _ in range(2):
            self.assertIsNone(announcing(self.hook))
        failure = announcing(self.hook)
        assert failure is not None
        self.assertEqual(failure.retry_in, 1.0)
        self.assertIn("too many announces", failure.reason)
        self.now = 1.0
        self.assertIsNone(announcing(self.hook))

    def test_who_leaves_is_counted_apart_and_may_leave_many_torrents_at_once(self) -> None:
        for _ in range(3):
            announcing(self.hook)
        for number in range(LEAVING):
            self.assertIsNone(announcing(self.hook, event=Event.STOPPED, info_hash=bytes([number]) * 20))

    def test_who_leaves_one_torrent_again_and_again_is_refused(self) -> None:
        stops = [announcing(self.hook, event=Event.STOPPED) for _ in range(3)]
        self.assertEqual([stop is None for stop in stops], [True, True, False])
        self.assertIsNone(announcing(self.hook))

    def test_scrapes_are_counted_apart(self) -> None:
        self.assertIsNone(scraping(self.hook))
        self.assertIn("too many scrapes", str(scraping(self.hook)))
        self.assertIsNone(announcing(self.hook))

    def test_a_limit_that_is_not_set_refuses_nobody(self) -> None:
        hook = AddressLimits(lambda: 0.0, None, Rate(1, 1))
        self.assertEqual([announcing(hook) for _ in range(100)], [None] * 100)

    def test_the_addresses_of_one_64_share_what_they_have(self) -> None:
        self.assertEqual(
            [self.ask(f"2001:db8:0:1::{number:x}") for number in range(1, 4)], [True, True, False]
        )
        self.assertTrue(self.ask("2001:db8:0:2::1"))

    def test_a_mapped_address_is_the_ipv4_one(self) -> None:
        self.assertEqual(household("::ffff:192.0.2.1"), household("192.0.2.1"))
        self.assertNotEqual(household("fe80::1%a"), household("fe81::1"))

    def test_a_flood_from_one_address_is_refused_and_nobody_else_is(self) -> None:
        """T19: however many ids, ports and hashes it makes up."""
        random = Random(SEED)
        hook = AddressLimits(lambda: self.now, Rate(60, 100), None)
        passed = 0
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        count = runs(5_000, 1_000_000)
        for number in range(count):
            self.now = number / 5_000
            arrival = Arrival(Front.UDP, str(IPv6Address((0x20010DB8 << 96) + random.getrandbits(64))))
            fields = {"peer_id": random.randbytes(20), "info_hash": random.randbytes(20)}
            passed += announcing(hook, arrival, port=random.randrange(1, 65536), **fields) is None
            if number % 1_000 == 0:
                self.assertIsNone(
                    announcing(hook, Arrival(Front.UDP, f"198.51.{number // 1000 % 256}.{number // 256_000}"))
                )
        grown = tracemalloc.get_traced_memory()[0] - before
        tracemalloc.stop()
        self.assertLessEqual(passed, 100 + self.now + 1)
        self.assertLess(grown, 1 << 20)

    def test_a_flood_from_many_addresses_has_bounded_memory(self) -> None:
        most = runs(1_000, 100_000)
        rate = Rate(1, 1, most=most)
        tracemalloc.start()
        for number in range(3 * most):
            rate.take(number << 64, 0.0)
        used = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        self.assertEqual(len(rate), most)
        if SOAK:
            self.assertLess(used, 400 * most)
