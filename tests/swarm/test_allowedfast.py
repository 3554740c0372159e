"""How much a choked peer may fetch, and how often it may be refused."""

from hypothesis import given
from hypothesis import strategies as st

from bittwist.swarm.allowedfast import COPIES, GRACE, MAX_REFUSED, AllowedFast, Refusals

sizes = st.dictionaries(st.integers(0, 9), st.integers(1, 1 << 20), max_size=10)
requests = st.lists(st.tuples(st.integers(0, 12), st.integers(1, 1 << 17)), max_size=200)


@given(sizes, requests)
def test_whatever_is_asked_no_piece_goes_out_more_than_so_often(sizes, requests):
    allowed = AllowedFast(sizes)
    given = dict.fromkeys(range(13), 0)
    for index, length in requests:
        if allowed.take(index, length):
            given[index] += length
    assert all(size <= COPIES * sizes.get(index, 0) for index, size in given.items())


def test_a_piece_may_be_fetched_whole_and_again():
    allowed = AllowedFast({3: 100})
    assert [allowed.take(3, 50) for _ in range(2 * COPIES + 1)] == [True] * (2 * COPIES) + [False]
    assert not allowed.take(4, 1)


def test_refusals_count_from_some_time_after_the_choke():
    refusals = Refusals()
    refusals.choked(100.0)
    assert not any(refusals.refused(100.0 + GRACE - 1) for _ in range(10 * MAX_REFUSED))
    assert [refusals.refused(100.0 + GRACE) for _ in range(MAX_REFUSED + 1)] == [False] * MAX_REFUSED + [True]


def test_an_unchoke_forgives():
    refusals = Refusals()
    for _ in range(MAX_REFUSED):
        refusals.refused(0.0)
    refusals.served()
    assert not refusals.refused(1.0)
