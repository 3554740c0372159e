from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bittwist.errors import MetainfoError
from bittwist.metainfo import merkle
from bittwist.metainfo.geometry import BLOCK
from tests.metainfo.vectors import load

VECTORS = load("merkle")


def content(size):
    blocks = (
        sha256(b"bittwist-merkle" + number.to_bytes(8, "big")).digest() for number in range(-(-size // 32))
    )
    return b"".join(blocks)[:size]


def test_subtrees_beyond_the_end_have_known_roots():
    assert [merkle.zero_root(height).hex() for height in range(9)] == VECTORS["zero_roots"]


@pytest.mark.parametrize("case", VECTORS["cases"], ids=lambda case: f"{case['size']}-{case['piece_length']}")
def test_roots_and_piece_layers(case):
    leaves = merkle.block_hashes(content(case["size"]))
    assert merkle.root(leaves).hex() == case["pieces_root"]
    if case["size"] > case["piece_length"]:
        layer = merkle.piece_layer(leaves, case["piece_length"])
        assert [piece.hex() for piece in layer] == case["piece_layer"]
        facts = {
            "size": case["size"],
            "piece_length": case["piece_length"],
            "pieces_root": bytes.fromhex(case["pieces_root"]),
        }
        merkle.check_layer(b"".join(layer), **facts)
        with pytest.raises(MetainfoError):
            merkle.check_layer(b"".join(reversed(layer)), **facts)


def test_a_proof_leads_from_a_layer_to_the_root():
    proof = VECTORS["proof"]
    hashes, uncles = ([bytes.fromhex(item) for item in proof[key]] for key in ("hashes", "uncles"))
    facts = {"height": proof["request"]["base_layer"], "pieces_root": bytes.fromhex(proof["pieces_root"])}
    index = proof["request"]["index"]
    assert merkle.proves(hashes, uncles, index=index, **facts)
    assert not merkle.proves(hashes, uncles, index=index - 2, **facts)
    assert not merkle.proves(hashes, uncles, index=index + 8, **facts)
    assert not merkle.proves(hashes, uncles[:1], index=index, **facts)
    assert not merkle.proves(hashes[::-1], uncles, index=index, **facts)


@given(st.integers(1, 40), st.integers(0, 3))
def test_the_root_is_the_same_from_every_layer(blocks, height):
    leaves = [sha256(bytes([number])).digest() for number in range(blocks)]
    layer = merkle.piece_layer(leaves, BLOCK << height)
    if blocks > 1 << height:
        assert merkle.root(layer, height) == merkle.root(leaves)


def test_a_tree_has_a_leaf():
    with pytest.raises(ValueError, match="at least one"):
        merkle.root([])
