"""One peer, without I/O: bytes in, facts out; messages in, bytes out (BEP 3, BEP 6, BEP 10).

Which reader is installed is the state: first the handshake's, then the messages'.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from bittwist.errors import LocalProtocolError, OwnConnection, RemoteProtocolError
from bittwist.metainfo.geometry import Geometry
from bittwist.wire import handshake
from bittwist.wire.bounds import Bounds
from bittwist.wire.framing import Framing
from bittwist.wire.handshake import Handshake, HandshakeRecord, handshake_machine
from bittwist.wire.messages import Message, Piece, Request, decode, encode
from bittwist.wire.runs import (
    Block,
    BlockData,
    Pieces,
    Requests,
    read_pieces,
    read_requests,
    write_pieces,
    write_requests,
)
from bittwist.wire.standing import Standing


@dataclass(frozen=True, slots=True)
class Opened:
    """They named this torrent; answer with `WireConnection.admit`, or close."""

    info_hash: bytes


Fact = Opened | Handshake | Message
Run = Fact | Pieces | Requests

_A_PIECE, _A_REQUEST = Piece(0, 0, b""), Request(0, 0, 0)  # stand for any of their kind


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
        self._read: Callable[[memoryview], Iterator[Run]] = self._read_handshake
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
        """The facts that `data` completes, in order: `receive_runs`, one message at a time."""
        for run in self.receive_runs(data):
            if isinstance(run, (Pieces, Requests)):
                yield from run.messages()
            else:
                yield run

    def receive_runs(self, data: bytes | memoryview) -> Iterator[Run]:
        """What `data` completes, in order. Views in it are valid until the next one is asked for.

        Raises RemoteProtocolError at the first fault, after the facts before it. Run it to its end before
        more is received, or give the connection up.
        """
        return self._read(memoryview(data))

    def send(self, message: Message) -> bytes:
        """The bytes of a message of ours; LocalProtocolError where it is not legal now."""
        self._sending(message)
        return encode(message)

    def request(self, blocks: Sequence[Block]) -> bytes:
        """The bytes of a Request for each block."""
        self._sending(_A_REQUEST)
        return write_requests(blocks)

    def give(self, blocks: Sequence[BlockData], out: list[bytes | memoryview]) -> int:
        """Add the bytes of a Piece for each block to `out`, the blocks uncopied; how many bytes that is."""
        self._sending(_A_PIECE)
        return write_pieces(blocks, out)

    def _sending(self, message: Message) -> None:
        if self.standing is None:
            raise LocalProtocolError("a message before the handshake")
        self.standing.sending(message)

    def _read_messages(self, data: memoryview) -> Iterator[Run]:
        framing, bounds = self._framing, self._bounds
        frame, at = framing.finish(data)
        if frame is not None:
            yield self._fact(decode(frame))
        end = len(data)
        while at < end:
            blocks: list[BlockData] = []
            at = read_pieces(data, at, blocks)
            if blocks:
                good = bounds.good_pieces(blocks)
                if good:
                    yield Pieces(blocks[:good])
                if good < len(blocks):
                    bounds.check(Piece(*blocks[good]))
            asked: list[Block] = []
            at = read_requests(data, at, asked)
            if asked:
                good = bounds.good_requests(asked)
                if good:
                    yield Requests(asked[:good])
                if good < len(asked):
                    bounds.check(Request(*asked[good]))
            frame = framing.next(data, at)
            if frame is None:
                return
            at += 4 + len(frame)
            yield self._fact(decode(frame))

    def _fact(self, message: Message) -> Run:
        standing = self.standing
        assert standing is not None
        self._bounds.check(message)
        standing.received(message)
        match message:
            case Piece(index, begin, block):
                return Pieces([(index, begin, block)])
            case Request(index, begin, length):
                return Requests([(index, begin, length)])
            case _:
                return message

    def _read_handshake(self, data: memoryview) -> Iterator[Run]:
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
            error = OwnConnection()
            self._machine.refused(error.reason)
            raise error
        self._machine.greeted(theirs)
        self.remote = theirs
        self.standing = Standing(fast=ours.fast and theirs.fast, extended=ours.extended and theirs.extended)
        self._opening = bytearray()
        self._read = self._read_messages
        return theirs
