"""The token bucket: what may be taken, and when."""

from unittest import TestCase

from hypothesis import given
from hypothesis import strategies as st

from bittwist.net.bucket import BURST, LEAST_BURST, TokenBucket


class BucketTests(TestCase):
    def test_it_begins_empty_and_fills_at_its_rate(self) -> None:
        bucket = TokenBucket(1000, now=5.0)
        self.assertEqual(bucket.available(5.0), 0)
        self.assertEqual(bucket.available(6.5), 1500)
        bucket.take(1000)
        self.assertEqual(bucket.available(6.5), 500)

    def test_it_holds_no_more_than_a_burst(self) -> None:
        self.assertEqual(TokenBucket(1_000_000, now=0.0).available(60.0), 1_000_000 * BURST)
        self.assertEqual(TokenBucket(10, now=0.0).available(1e6), LEAST_BURST)

    def test_it_says_when_there_will_be_enough(self) -> None:
        bucket = TokenBucket(1000, now=0.0)
        self.assertEqual(bucket.until(500, now=0.0), 0.5)
        self.assertEqual(bucket.until(500, now=0.4), 0.1)
        self.assertEqual(bucket.until(500, now=3.0), 0.0)

    def test_a_new_rate_holds_from_then_on(self) -> None:
        bucket = TokenBucket(1000, now=0.0)
        bucket.set_rate(2000, now=1.0)
        self.assertEqual(bucket.available(2.0), 3000)
        bucket.set_rate(1_000_000, now=2.0)
        bucket.available(10.0)
        bucket.set_rate(100, now=10.0)
        self.assertEqual(bucket.available(10.0), LEAST_BURST)

    def test_a_clock_that_steps_back_fills_nothing(self) -> None:
        bucket = TokenBucket(1000, now=10.0)
        self.assertEqual(bucket.available(9.0), 0)
        self.assertEqual(bucket.available(11.0), 1000)

    def test_no_rate_is_no_bucket(self) -> None:
        self.assertRaises(ValueError, TokenBucket, 0, now=0.0)

    @given(
        st.integers(1, 10**9),
        st.lists(st.tuples(st.floats(0, 5), st.floats(0, 1), st.floats(0, 1)), max_size=60),
    )
    def test_never_more_than_the_rate_and_one_burst(
        self, rate: int, steps: list[tuple[float, float, float]]
    ) -> None:
        now = 0.0
        bucket = TokenBucket(rate, now=now)
        moved: list[tuple[float, int]] = []
        for passed, share, unused in steps:
            now += passed
            taken = int(bucket.available(now) * share)
            bucket.take(taken)
            returned = int(taken * unused)
            bucket.put_back(returned)
            moved.append((now, taken - returned))
        for first in range(len(moved)):
            began = moved[first][0]
            total = 0
            for at, amount in moved[first:]:
                total += amount
                self.assertLessEqual(total, rate * (at - began) + bucket.burst + 1)
