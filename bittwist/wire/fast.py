"""The allowed fast set: the pieces a new peer may have even while choked (BEP 6)."""

from __future__ import annotations

from hashlib import sha1
from ipaddress import IPv4Address, ip_address

ALLOWED_FAST_PIECES = 5  # of ours to each new peer (BEP 6 says 10): enough to begin to trade


def allowed_fast_set(host: str, info_hash: bytes, num_pieces: int, k: int = ALLOWED_FAST_PIECES) -> list[int]:
    """`k` piece indices (all, where there are fewer) for the peer at that address, the same for its /24.

    Empty for IPv6, for which BEP 6 has no rule.
    """
    address = ip_address(host)
    if not isinstance(address, IPv4Address):
        return []
    x = (int(address) & 0xFFFFFF00).to_bytes(4, "big") + info_hash
    found: dict[int, None] = {}
    k = min(k, num_pieces)
    while len(found) < k:
        x = sha1(x, usedforsecurity=False).digest()
        for at in range(0, 20, 4):
            if len(found) < k:
                found[int.from_bytes(x[at : at + 4], "big") % num_pieces] = None
    return list(found)
