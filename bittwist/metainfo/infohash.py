"""The info hash: the name of a torrent, with a v1 and a v2 part (BEP 3, BEP 52)."""

from __future__ import annotations

from base64 import b32decode
from dataclasses import dataclass
from hashlib import sha1, sha256

from bittwist.errors import MetainfoError


@dataclass(frozen=True, slots=True)
class InfoHash:
    """`v1` is the SHA-1 (20 bytes), `v2` the SHA-256 (32 bytes) of the raw info dictionary.

    A hybrid torrent has both.
    """

    v1: bytes | None = None
    v2: bytes | None = None

    def __post_init__(self) -> None:
        if self.v1 is None and self.v2 is None:
            raise MetainfoError("an info hash has no parts")
        if self.v1 is not None and len(self.v1) != 20:
            raise MetainfoError(f"a v1 info hash has 20 bytes, not {len(self.v1)}")
        if self.v2 is not None and len(self.v2) != 32:
            raise MetainfoError(f"a v2 info hash has 32 bytes, not {len(self.v2)}")

    @classmethod
    def of(cls, raw: bytes, *, v1: bool, v2: bool) -> InfoHash:
        """The hash of a raw info dictionary, in the parts asked for."""
        return cls(
            sha1(raw, usedforsecurity=False).digest() if v1 else None,
            sha256(raw).digest() if v2 else None,
        )

    @classmethod
    def parse(cls, text: str) -> InfoHash:
        """Read 40 hex digits or 32 of base32 (v1), or 64 hex digits (v2); MetainfoError for anything else."""
        try:
            if len(text) == 40:
                return cls(v1=_unhex(text))
            if len(text) == 64:
                return cls(v2=_unhex(text))
            if len(text) == 32:
                return cls(v1=b32decode(text.upper()))
        except ValueError:
            pass  # told below, with the lengths that would have been right
        raise MetainfoError(f"{text[:80]!r} is not an info hash (40 or 64 hex digits, or 32 of base32)")

    @property
    def short(self) -> bytes:
        """The 20 bytes that handshakes, trackers and the DHT carry (BEP 52 truncates the v2 hash)."""
        if self.v1 is not None:
            return self.v1
        assert self.v2 is not None
        return self.v2[:20]

    def __str__(self) -> str:
        """Hex of v1 or, where there is none, of v2."""
        return (self.v1 or self.v2 or b"").hex()


def _unhex(text: str) -> bytes:
    digest = bytes.fromhex(text)  # takes spaces too: those make it shorter
    if 2 * len(digest) != len(text):
        raise ValueError("not all hex digits")
    return digest
