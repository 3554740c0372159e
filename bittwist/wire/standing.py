"""Choke and interest, both ways, and which messages are legal now (BEP 3, BEP 6)."""

from __future__ import annotations

from bittwist.errors import LocalProtocolError, RemoteProtocolError
from bittwist.wire.messages import (
    AllowedFast,
    BitfieldMessage,
    Choke,
    Extended,
    HaveAll,
    HaveNone,
    Interested,
    KeepAlive,
    Message,
    NotInterested,
    Port,
    RejectRequest,
    SuggestPiece,
    Unchoke,
    UnknownMessage,
)

_FAST = (HaveAll, HaveNone, SuggestPiece, RejectRequest, AllowedFast)
_OPENING = (BitfieldMessage, HaveAll, HaveNone)  # what the sender has: at most one, and before all else
_NEUTRAL = (Extended, KeepAlive, Port, UnknownMessage)  # several clients send these before their bitfield

MAX_EXTENSION_HANDSHAKES = 16  # from one peer; BEP 10 allows several, clients send one or two


class Standing:
    """Where two peers stand; both begin choked and not interested.

    Our bitfield is first or never (BEP 3). Theirs may come at any time: aria2 sends one for many Haves.
    """

    def __init__(self, *, fast: bool, extended: bool) -> None:
        self.fast = fast
        self.extended = extended
        self.am_choking = True
        self.am_interested = False
        self.peer_choking = True
        self.peer_interested = False
        self._opened = False  # the time for ours is over
        self._extension_handshakes = 0

    def received(self, message: Message) -> None:
        """Take in a message; RemoteProtocolError if they may not send it now."""
        if not self.fast and isinstance(message, _FAST):
            raise RemoteProtocolError(f"{type(message).__name__} without the fast extension")
        match message:
            case Choke():
                self.peer_choking = True
            case Unchoke():
                self.peer_choking = False
            case Interested():
                self.peer_interested = True
            case NotInterested():
                self.peer_interested = False
            case Extended(0):
                self._extension_handshakes += 1
                if self._extension_handshakes > MAX_EXTENSION_HANDSHAKES:
                    raise RemoteProtocolError(f"more than {MAX_EXTENSION_HANDSHAKES} extension handshakes")
            case _:
                pass

    def sending(self, message: Message) -> None:
        """Take note of a message of ours; LocalProtocolError if we may not send it now."""
        if not self.fast and isinstance(message, _FAST):
            raise LocalProtocolError(f"{type(message).__name__} without the fast extension")
        if not self.extended and isinstance(message, Extended):
            raise LocalProtocolError("an extended message to a peer without the extension protocol")
        if self._opened:
            if isinstance(message, _OPENING):
                raise LocalProtocolError(f"{type(message).__name__} after other messages")
        elif not isinstance(message, _NEUTRAL):
            self._opened = True
        match message:
            case Choke():
                self.am_choking = True
            case Unchoke():
                self.am_choking = False
            case Interested():
                self.am_interested = True
            case NotInterested():
                self.am_interested = False
            case _:
                pass
