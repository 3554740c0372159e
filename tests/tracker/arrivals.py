"""Requests as hooks see them, and what they say of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bittwist.address import Address
from bittwist.announce.values import AnnounceRequest
from bittwist.errors import TrackerFailure
from bittwist.tracker import AnnounceHook, Arrival, Front

HASH = b"h" * 20
OTHER = b"o" * 20
ARRIVAL = Arrival(Front.HTTP, "192.0.2.1")
REQUEST = AnnounceRequest(HASH, b"-XX1234-abcdefghijkl", 6881, address=Address("192.0.2.1", 6881))


def announcing(hook: AnnounceHook, arrival: Arrival = ARRIVAL, **fields: object) -> TrackerFailure | None:
    """The hook's refusal of such an announce; None where it lets it pass."""
    try:
        hook.announcing(replace(REQUEST, **fields), arrival)  # type: ignore[arg-type]
    except TrackerFailure as failure:
        return failure
    return None


def scraping(
    hook: AnnounceHook, arrival: Arrival = ARRIVAL, hashes: Sequence[bytes] = (HASH,)
) -> TrackerFailure | None:
    """The hook's refusal of such a scrape; None where it lets it pass."""
    try:
        hook.scraping(hashes, arrival)
    except TrackerFailure as failure:
        return failure
    return None
