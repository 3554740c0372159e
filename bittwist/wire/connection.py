"""One peer, without I/O: bytes in, facts out; messages in, bytes out (BEP 3, BEP 6, BEP 10).

Which reader is installed is the state: first the handshake's, then the messages'.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bittwist.errors import LocalProtocolError, RemoteProtocolError
from bittwist.metainfo.geometry import Geometry
from bittwist.wire import handshake
from bittwist.wire.bounds import Bounds
from bittwist.wire.framing import Framing
from bittwist.wire.handshake import Handshake, HandshakeRecord, handshake_machine
from bittwist.wire.messages import Cancel, Message, Piece, Request, decode, encode, piece_header
from bittwist.wire.standing import Standing

_UNREMARKABLE = frozenset((Piece, Request, Cancel))  # legal whenever messages are: `standing` need not look


@dataclass(frozen=True, slots=True)
class Opened:
    """They named this torrent; answer with `WireConnection.admit`, or close."""

    info_hash: bytes


Fact = Opened | Handshake | Message


class WireConnection:
    """The state of one connection, from the first byte of the handshake on."""

    def __init__(self, ours: Handshake | None = None) -> None:
        """With a handshake we are the one who dialed; without, they are."""
        self.remote: Handshake | None = None
        self.standing: Standing | None = None  # from the handshake on
        self._ours = ours
        self._record = HandshakeRecord()
        self._machine = handshake_machine(self._record)
        self._bounds = Bounds()
        self._framing = Framing()
        self._opening = bytearray()
        self._read: Callable[[memoryview], Iterator[Fact]] = self._read_handshake
        if ours is None:
            self._machine.answered()
        else:
            self._machine.dialed(ours)

    @property
    def buffered(self) -> int:
        """Bytes held because they are not whole yet."""
        return len(self._opening) + self._framing.buffered

    def data_to_send(self) -> bytes:
        """What the handshake wants sent; each byte is given once."""
        data = b"".join(self._record.outbox)
        self._record.outbox.clear()
        return data

    def admit(self, ours: Handshake) -> None:
        """The torrent of `Opened` is served here: this is our handshake."""
        self._machine.admitted(ours)
        self._ours = ours

    def refuse(self, reason: str) -> RemoteProtocolError:
        """End the handshake (too slow, not served here); the error to close with."""
        self._machine.refused(reason)
        return RemoteProtocolError(reason)

    def know(self, geometry: Geometry) -> None:
        """From now on indices are checked; RemoteProtocolError if one they named before does not exist."""
        self._bounds.know(geometry)
        self._framing.limit = self._bounds.max_message

    def receive(self, data: bytes | memoryview) -> Iterator[Fact]:
        """The facts that `data` completes, in order. Views in them are valid until the next one is asked for.

        Raises RemoteProtocolError at the first fault, after the facts before it. Run it to its end before
        more is received, or give the connection up.
        """
        return self._read(memoryview(data))

    def send(self, message: Message) -> bytes:
        """The bytes of a message of ours; LocalProtocolError where it is not legal now."""
        self._sending(message)
        return encode(message)

    def send_header(self, piece: Piece) -> bytes:
        """The bytes before a block of ours, which the caller sends behind them."""
        self._sending(piece)
        return piece_header(piece)

    def _sending(self, message: Message) -> None:
        if self.standing is None:
            raise LocalProtocolError("a message before the handshake")
        self.standing.sending(message)

    def _read_messages(self, data: memoryview) -> Iterator[Fact]:
        standing, check = self.standing, self._bounds.check
        assert standing is not None
        for frame in self._framing.frames(data):
            message = decode(frame)
            check(message)
            if type(message) not in _UNREMARKABLE or not standing.peer_opened:
                standing.received(message)
            yield message

    def _read_handshake(self, data: memoryview) -> Iterator[Fact]:
        seen = len(self._opening)
        wanted = handshake.LENGTH - seen
        self._opening += data[:wanted]
        self._check_protocol()
        if seen < handshake.NAMED <= len(self._opening):
            yield from self._settle_torrent(bytes(self._opening[28:48]))
        if len(self._opening) == handshake.LENGTH and self._ours is not None:
            yield self._settle_peer(self._ours)
            yield from self._read_messages(data[wanted:])

    def _check_protocol(self) -> None:
        start = self._opening[: len(handshake.PROTOCOL)]
        if not handshake.PROTOCOL.startswith(start):
            raise self.refuse("not a BitTorrent handshake")

    def _settle_torrent(self, info_hash: bytes) -> Iterator[Fact]:
        if self._ours is None:
            self._machine.named()
            yield Opened(info_hash)
        elif info_hash == self._ours.info_hash:
            self._machine.matched()
        else:
            raise self.refuse("a handshake for another torrent")

    def _settle_peer(self, ours: Handshake) -> Handshake:
        reserved, info_hash, peer_id = self._opening[20:28], self._opening[28:48], self._opening[48:]
        theirs = Handshake(bytes(info_hash), bytes(peer_id), bytes(reserved))
        if theirs.peer_id == ours.peer_id:
            raise self.refuse("a connection to ourselves")
        self._machine.greeted(theirs)
        self.remote = theirs
        self.standing = Standing(fast=ours.fast and theirs.fast, extended=ours.extended and theirs.extended)
        self._opening = bytearray()
        self._read = self._read_messages
        return theirs
