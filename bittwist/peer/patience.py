"""How long a peer is waited for, and when it is shown a sign of life (BEP 3, keep-alives)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from bittwist.errors import BitTwistError, RemoteProtocolError


class Watched(Protocol):
    """What the patience is with: when it last was heard of, and what is done about it."""

    last_received_at: float
    last_sent_at: float  # when the transport last took bytes

    def is_silent_for_us(self) -> bool:
        """We do not read, so its silence means nothing."""

    def owes_reading(self) -> bool:
        """Bytes wait that it does not take, and nothing but it is in the way."""

    def keep_alive(self) -> None:
        """Send a keep-alive."""

    def close(self, reason: Exception) -> None: ...


class Patience:
    """The one timer of a connection: handshake, then idleness and keep-alives, then the close."""

    def __init__(self, clock: IReactorTime, idle_timeout: float, keepalive_after: float) -> None:
        self._clock = clock
        self._idle_timeout = idle_timeout
        self._keepalive_after = keepalive_after
        self._timer: IDelayedCall | None = None

    def once(self, seconds: float, late: Callable[[], None]) -> None:
        """Call `late` after so long, unless something else is waited for by then."""
        self.stop()
        self._timer = self._clock.callLater(seconds, late)

    def watch(self, peer: Watched) -> None:
        """Look after a peer that has shaken hands."""
        self.once(min(self._idle_timeout, self._keepalive_after), lambda: self._look(peer))

    def stop(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None

    def _look(self, peer: Watched) -> None:
        now = self._clock.seconds()
        if peer.is_silent_for_us():
            peer.last_received_at = now
        if fault := self._fault(peer, now):
            peer.close(fault)
            return
        stuck = peer.owes_reading()
        if not stuck and now >= peer.last_sent_at + self._keepalive_after:
            peer.keep_alive()
            peer.last_sent_at = now
        sent_by = peer.last_sent_at + (self._idle_timeout if stuck else self._keepalive_after)
        due = min(peer.last_received_at + self._idle_timeout, sent_by)
        self.once(max(0.0, due - now), lambda: self._look(peer))

    def _fault(self, peer: Watched, now: float) -> BitTwistError | None:
        # Compared with the very sums that `_look` is due at: a difference may be rounded below the limit
        # at a time when nothing is left to wait for.
        if now >= peer.last_received_at + self._idle_timeout:
            return RemoteProtocolError(f"no message for {self._idle_timeout:g} s")
        if peer.owes_reading() and now >= peer.last_sent_at + self._idle_timeout:
            return RemoteProtocolError(f"nothing read for {self._idle_timeout:g} s")
        return None
