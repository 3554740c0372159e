"""One block at a time: what came of it, for tests that follow blocks one by one."""

from __future__ import annotations

from dataclasses import dataclass

from bittwist.metainfo.bitfield import Bitfield
from bittwist.swarm.picker import PeerKey, Picker, PieceState
from bittwist.swarm.pipeline import Pipeline


@dataclass(frozen=True, slots=True)
class Receipt:
    """What one block was good for: the names are those of `Came`, of which it is one block's share."""

    fresh: bool
    complete: bool
    others: tuple[PeerKey, ...]


def seed_joins(picker: Picker, key: PeerKey) -> None:
    """A peer that has every piece comes."""
    picker.joined(key, Bitfield.full(picker.have.num_pieces))


def flying(picker: Picker) -> int:
    """How many pieces are in flight: each holds a buffer."""
    states = map(picker.state, range(picker.have.num_pieces))
    return sum(state in (PieceState.ACTIVE, PieceState.VERIFYING) for state in states)


def received(picker: Picker, key: PeerKey, index: int, begin: int) -> Receipt:
    """One block came from a peer."""
    came = picker.came(key, [(index, begin, b"")])
    assert came.whole in ([], [index])
    assert all((of, at) == (index, begin) for _, of, at in came.others)
    return Receipt(bool(came.fresh), bool(came.whole), tuple(other for other, _, _ in came.others))


def was_asked(pipeline: Pipeline, index: int, begin: int, now: float) -> bool:
    """One block came: whether it had been asked for."""
    return bool(pipeline.came([(index, begin, b"")], now))
