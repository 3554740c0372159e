"""A piece that a peer has no longer (BEP 54: lt_donthave)."""

from __future__ import annotations

from bittwist.errors import RemoteProtocolError


def encode(index: int) -> bytes:
    """The payload of the `Extended` message."""
    return index.to_bytes(4, "big")


def decode(payload: bytes) -> int:
    """The index of the piece. Raises RemoteProtocolError."""
    if len(payload) != 4:
        raise RemoteProtocolError(f"a donthave of {len(payload)} bytes")
    return int.from_bytes(payload, "big")
