"""Upload slots of a session, shared by its torrents."""

from unittest import TestCase

from hypothesis import given
from hypothesis import strategies as st

from bittwist.swarm.slots import ROUND, Slots

A, B, C = b"a", b"b", b"c"


class SlotsTests(TestCase):
    def slots(self, most: int, **wanted: int) -> Slots:
        made = Slots(lambda: most)
        for name, count in wanted.items():
            made.room(name.encode(), count, 0.0)
        return made

    def test_without_a_bound_everyone_does_as_it_likes(self) -> None:
        self.assertIsNone(self.slots(0, a=100, b=100).room(A, 100, 0.0))

    def test_one_torrent_may_have_all(self) -> None:
        self.assertEqual(self.slots(10).room(A, 50, 0.0), 10)

    def test_small_wishes_are_met_and_the_rest_is_divided(self) -> None:
        slots = self.slots(10, a=2, b=50, c=50)
        self.assertEqual(
            [slots.room(key, count, 0.0) for key, count in ((A, 2), (B, 50), (C, 50))], [2, 4, 4]
        )

    def test_what_cannot_be_divided_goes_round(self) -> None:
        slots = self.slots(1, a=5, b=5, c=5)
        had = [tuple(slots.room(key, 5, at * ROUND) for key in (A, B, C)) for at in range(3)]
        self.assertEqual(sorted(had), [(0, 0, 1), (0, 1, 0), (1, 0, 0)])

    def test_a_slot_is_free_once_another_torrent_has_let_go_of_it(self) -> None:
        slots = self.slots(4)
        self.assertEqual(slots.room(A, 9, 0.0), 4)
        slots.uses(A, 4)
        self.assertEqual(slots.room(B, 9, 0.0), 0)
        self.assertEqual(slots.room(A, 9, 0.0), 2)
        slots.uses(A, 2)
        self.assertEqual(slots.room(B, 9, 0.0), 2)
        slots.uses(B, 2)
        slots.left(B)
        self.assertEqual(slots.room(A, 9, 0.0), 4)

    @given(
        st.integers(1, 20),
        st.lists(
            st.tuples(st.sampled_from([A, B, C, b"d"]), st.integers(0, 12), st.booleans()),
            min_size=1,
            max_size=60,
        ),
    )
    def test_there_are_never_more_in_use_than_may_be(
        self, most: int, steps: list[tuple[bytes, int, bool]]
    ) -> None:
        slots = Slots(lambda: most)
        used: dict[bytes, int] = {}
        for number, (key, wanted, leaves) in enumerate(steps):
            if leaves and number % 5 == 0:
                slots.left(key)
                used.pop(key, None)
                continue
            room = slots.room(key, wanted, number * 7.0)
            assert room is not None
            used[key] = min(room, wanted)
            slots.uses(key, used[key])
            self.assertLessEqual(sum(used.values()), most)

    @given(st.integers(1, 30), st.lists(st.integers(0, 20), min_size=1, max_size=8))
    def test_once_all_have_let_go_everything_is_used_and_fairly(self, most: int, wishes: list[int]) -> None:
        slots = Slots(lambda: most)
        names = [bytes([65 + place]) for place in range(len(wishes))]
        for _ in range(3):
            for key, wanted in zip(names, wishes, strict=True):
                room = slots.room(key, wanted, 0.0)
                assert room is not None
                slots.uses(key, min(room, wanted))
        final = [slots.room(key, wanted, 0.0) for key, wanted in zip(names, wishes, strict=True)]
        got = [min(room or 0, wanted) for room, wanted in zip(final, wishes, strict=True)]
        self.assertEqual(sum(got), min(most, sum(wishes)))
        unmet = [count for count, wanted in zip(got, wishes, strict=True) if count < wanted]
        if unmet:
            self.assertLessEqual(max(got) - min(unmet), 1)
