"""The allowed fast set, by the BEP's example and its invariants."""

import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from bittwist.wire.fast import allowed_fast_set

VECTOR = json.loads((Path(__file__).parent.parent / "vectors" / "wire.json").read_text())["allowed_fast"]
INFO_HASH = bytes.fromhex(VECTOR["info_hash"])


def test_the_sets_of_the_bep():
    for k in 7, 9:
        assert allowed_fast_set(VECTOR["host"], INFO_HASH, VECTOR["num_pieces"], k) == VECTOR["nine"][:k]


@given(
    st.ip_addresses(v=4).map(str), st.binary(min_size=20, max_size=20), st.integers(0, 60), st.integers(0, 12)
)
def test_a_set_has_k_different_pieces_or_all(host, info_hash, num_pieces, k):
    found = allowed_fast_set(host, info_hash, num_pieces, k)
    assert len(found) == len(set(found)) == min(k, num_pieces)
    assert all(0 <= index < num_pieces for index in found)


def test_a_network_of_256_addresses_has_one_set():
    sets = {tuple(allowed_fast_set(f"80.4.4.{host}", INFO_HASH, 1313, 7)) for host in range(256)}
    assert len(sets) == 1


def test_ipv6_has_none():
    assert allowed_fast_set("2001:db8::1", INFO_HASH, 1313) == []
