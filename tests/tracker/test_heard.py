"""What users' clients said, until it is written down: nothing twice, and in bounded memory."""

from __future__ import annotations

import tracemalloc
from unittest import TestCase

from hypothesis import given
from hypothesis import strategies as st

from bittwist.tracker.accounts import UserChange, What
from bittwist.tracker.heard import MAX_HEARD, MAX_HEARD_OF_USER, Heard, Span
from tests.scale import runs

MIB = 1 << 20


def said(name: str = "ann", session: int = 0, uploaded: int = 0, ended: bool = False) -> UserChange:
    return UserChange(
        What.SEEN,
        name,
        at=1.5e9 + uploaded,
        uploaded=uploaded,
        downloaded=uploaded,
        session=session.to_bytes(16, "big"),
        ended=ended,
    )


def lines(heard: Heard) -> list[UserChange]:
    return [change for span in heard.take(len(heard)) for change in span.changes]


class HeardTests(TestCase):
    def test_of_what_only_grows_the_ends_are_enough(self) -> None:
        heard = Heard()
        for uploaded in range(10):
            heard.note(said(uploaded=uploaded))
        self.assertEqual(lines(heard), [said(uploaded=0), said(uploaded=9)])
        self.assertEqual(lines(heard), [])

    def test_a_counter_that_goes_back_and_one_that_ended_begin_anew(self) -> None:
        heard = Heard()
        told = [said(uploaded=5), said(uploaded=3), said(uploaded=4, ended=True), said(uploaded=4)]
        for each in told:
            heard.note(each)
        self.assertEqual(lines(heard), told)

    def test_a_user_over_its_share_loses_its_own_oldest(self) -> None:
        heard = Heard(most_of_user=3)
        heard.note(said("bob", 99))
        for session in range(10):
            heard.note(said(session=session))
        self.assertEqual(lines(heard), [said("bob", 99), said(session=7), said(session=8), said(session=9)])

    def test_where_all_is_full_who_says_most_is_forgotten_first(self) -> None:
        heard = Heard(most=20, most_of_user=16)
        for number in range(8):
            heard.note(said(f"user {number}", number))
        for session in range(100, 200):
            heard.note(said("ann", session))
        left = [change.name for change in lines(heard)]
        self.assertEqual([name for name in left if name != "ann"], [f"user {number}" for number in range(8)])
        self.assertIn(len(left) - 8, range(4, 13))

    def test_the_share_is_whole_again_when_there_is_room(self) -> None:
        heard = Heard(most=8, most_of_user=8)
        heard.note(said("bob", 99))
        for session in range(8):
            heard.note(said(session=session))
        self.assertEqual(len(heard), 5, "one of bob, and half a share")
        heard.take(9)
        for session in range(8):
            heard.note(said(session=session))
        self.assertEqual(len(heard), 8)

    def test_of_more_users_than_there_is_room_for_the_latest_are_remembered(self) -> None:
        heard = Heard(most=10, most_of_user=4)
        for number in range(100):
            heard.note(said(f"user {number}", number))
        self.assertEqual([change.name for change in lines(heard)], [f"user {n}" for n in range(90, 100)])

    def test_what_is_put_back_comes_first_and_goes_on(self) -> None:
        heard = Heard()
        for session in range(4):
            heard.note(said(session=session))
        taken = heard.take(2)
        heard.note(said(session=0, uploaded=5))
        heard.put_back(taken)
        heard.note(said(session=1, uploaded=6))
        told = lines(heard)
        self.assertEqual(told[:3], [said(session=0), said(session=1), said(session=1, uploaded=6)])
        self.assertEqual(told[-1], said(session=0, uploaded=5), "said after what was put back")

    def test_what_is_put_back_takes_nobodys_room(self) -> None:
        heard = Heard(most=3, most_of_user=2)
        heard.note(said(session=0))
        heard.note(said(session=1))
        taken = heard.take(2)
        for session in (2, 3):
            heard.note(said(session=session))
        heard.put_back(taken)
        self.assertEqual(lines(heard), [said(session=2), said(session=3)])

    @given(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 9), st.integers(0, 9), st.booleans())))
    def test_any_announces_are_within_the_bounds_and_in_order(
        self, told: list[tuple[str, int, int, bool]]
    ) -> None:
        heard = Heard(most=6, most_of_user=4)
        away: list[Span] = []
        for number, (name, session, uploaded, ended) in enumerate(told):
            heard.note(said(name, session + 10 * ord(name), uploaded, ended))
            if number % 7 == 5:
                away = heard.take(3)
            elif number % 7 == 6:
                heard.put_back(away)
            self.assertLessEqual(len(heard), 6)
        spans = heard.take(100)
        self.assertEqual((len(heard), heard._spans, heard._latest), (0, {}, {}))
        for span in spans:
            self.assertLessEqual(span.first.uploaded, span.last.uploaded)
        for name in "abcd":
            self.assertLessEqual(sum(span.last.name == name for span in spans), 4)

    def test_a_flood_of_peer_ids_takes_a_few_megabytes_of_a_user_and_a_few_tens_in_all(self) -> None:
        share = runs(10, 1)  # of the bounds: what a span costs is the same
        for users, most in ((1, 4 * MIB), (100, 48 * MIB)):
            tracemalloc.start()
            heard = Heard(MAX_HEARD // share, MAX_HEARD_OF_USER // share)
            for session in range(2 * MAX_HEARD // share):
                name = f"user {session % users}"
                heard.note(said(name, session, 1 << 40))
                heard.note(said(name, session, (1 << 40) + session))
            held, _ = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            self.assertLess(held, most / share)
