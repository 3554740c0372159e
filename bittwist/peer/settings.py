"""The times and bounds of one peer connection."""

from __future__ import annotations

from dataclasses import dataclass

from bittwist.settings import BYTES, COUNT, SECONDS, check_bounds
from bittwist.wire.handshake import reserved


@dataclass(frozen=True, slots=True)
class PeerSettings:
    """The times of one connection (seconds), and its bounds."""

    handshake_timeout: float = 10.0  # for the whole of it, however the bytes drip (B13)
    idle_timeout: float = 120.0  # without a whole message, or without them taking a byte of ours (BEP 3)
    keepalive_after: float = 100.0  # of silence of ours; others drop us after 120
    close_timeout: float = 4.0  # for what is unsent when we close
    low_water: int = 256 << 10  # unsent bytes below which `drained` is called
    max_handshaking: int = 500  # unfinished incoming handshakes; beyond, the oldest goes
    reserved: bytes = reserved()

    def __post_init__(self) -> None:
        check_bounds(
            self,
            {
                "handshake_timeout": SECONDS,
                "idle_timeout": SECONDS,
                "keepalive_after": SECONDS,
                "close_timeout": SECONDS,
                "low_water": BYTES,
                "max_handshaking": COUNT,
            },
        )
        if len(self.reserved) != 8:
            raise ValueError("reserved", f"must be 8 bytes, not {len(self.reserved)}")
