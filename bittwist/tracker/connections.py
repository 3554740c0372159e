"""Connection ids of the UDP tracker protocol: proof that who asks reads what is sent to it (BEP 15).

Nothing is remembered about anybody: an id is the second it was made in, and a keyed hash of that second and
the host. So ids outlive a restart, and several processes with one secret know each other's.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from hmac import compare_digest

SECRET = 32  # bytes of a secret
WINDOW = 120.0  # seconds an id is good for: a client may use it for one minute, a tracker takes it for two
LONGEST_WINDOW = 3600.0  # an id that somebody has read off the wire shall not stay good for ever
_STAMP = 2  # bytes of the second, modulo 18 hours
_TAG = 6  # bytes of the hash: 2^48 guesses within the window are too many


class ConnectionIds:
    """Makes and checks connection ids; `wall` gives seconds since the epoch: ids outlive the process."""

    def __init__(self, secret: bytes, wall: Callable[[], float], window: float = WINDOW) -> None:
        if len(secret) < SECRET or not 1 <= window <= LONGEST_WINDOW:
            raise ValueError(
                f"a secret of {SECRET} bytes and a window of 1 to {LONGEST_WINDOW:.0f} s, please"
            )
        self._wall = wall
        self.window = window
        # Taking the key in is half of what a hash costs: it is done once, and copied.
        self._keyed = blake2b(key=secret[:64], digest_size=_TAG)

    def issue(self, host: bytes) -> bytes:
        """An id for who asks from `host` (4 or 16 bytes)."""
        second = int(self._wall())
        return second.to_bytes(8, "big", signed=True)[-_STAMP:] + self._tag(second, host)

    def valid(self, connection_id: bytes, host: bytes) -> bool:
        """Whether this id was made for `host`, within the window; what comes from the future was not."""
        now = int(self._wall())
        age = (now - int.from_bytes(connection_id[:_STAMP], "big")) & 0xFFFF
        return age <= self.window and compare_digest(self._tag(now - age, host), connection_id[_STAMP:])

    def _tag(self, second: int, host: bytes) -> bytes:
        hashed = self._keyed.copy()
        hashed.update(second.to_bytes(8, "big", signed=True) + host)
        return hashed.digest()
