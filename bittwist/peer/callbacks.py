"""What a user of the peer protocol brings."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from bittwist.metainfo.infohash import InfoHash
from bittwist.wire.handshake import Handshake
from bittwist.wire.messages import Message

if TYPE_CHECKING:
    from bittwist.peer.protocol import PeerProtocol


class Callbacks(Protocol):
    """What a user of the protocol brings: one object for each torrent, or one for all.

    Two more methods are called where they exist: `settled(peer)` after the messages of each turn, and
    `drained(peer)` when `PeerProtocol.unsent` has fallen below the low mark. With `takes_runs` set, Piece and
    Request messages that come in a row are handed to `received` together, as `wire.runs` values: faster.
    """

    def handshaken(self, peer: PeerProtocol, handshake: Handshake) -> None:
        """The peer is there; a bitfield is sent from here, or never."""

    def received(self, peer: PeerProtocol, message: Message) -> None:
        """One message. The block of a `Piece` is valid until this returns."""

    def lost(self, peer: PeerProtocol, reason: Exception) -> None:
        """The connection is gone; nothing follows. Also instead of `handshaken`, if we dialed."""


Lookup = Callable[[InfoHash], Callbacks | None]
