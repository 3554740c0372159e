"""The messages peers send each other, as values and as bytes (BEP 3; BEP 6; BEP 10's envelope).

A message is decoded by itself here: lengths and number formats. Whether its indices exist in the torrent
is for `bounds`, whether it is legal at this moment for `standing`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from struct import Struct

from bittwist.errors import LocalProtocolError, RemoteProtocolError

MAX_REQUEST = 128 << 10  # the largest block anyone asks for; everybody uses 16 KiB, old clients up to this

_INDEX = Struct(">I")
_TRIPLE = Struct(">III")
_PIECE = Struct(">BII")
_HAVE_MESSAGE = Struct(">IBI")
_TRIPLE_MESSAGE = Struct(">IBIII")
_PIECE_HEADER = Struct(">IBII")
_PORT_MESSAGE = Struct(">IBH")


@dataclass(frozen=True, slots=True)
class KeepAlive:
    """No message, only a sign of life."""


@dataclass(frozen=True, slots=True)
class Choke:
    """The sender answers no more requests."""


@dataclass(frozen=True, slots=True)
class Unchoke:
    """The sender answers requests from now on."""


@dataclass(frozen=True, slots=True)
class Interested:
    """The sender wants something the receiver has."""


@dataclass(frozen=True, slots=True)
class NotInterested:
    """The sender wants nothing the receiver has."""


@dataclass(frozen=True, slots=True)
class Have:
    """The sender has a piece more."""

    index: int


@dataclass(frozen=True, slots=True)
class BitfieldMessage:
    """The pieces the sender has, as found on the wire: high bit of the first byte is piece 0."""

    bits: bytes


@dataclass(frozen=True, slots=True)
class Request:
    """Send me this block."""

    index: int
    begin: int
    length: int


@dataclass(frozen=True, slots=True)
class Piece:
    """A block of a piece. A received one is a view into a buffer that is used again: copy or lose it."""

    index: int
    begin: int
    block: bytes | memoryview


@dataclass(frozen=True, slots=True)
class Cancel:
    """Do not send me this block after all."""

    index: int
    begin: int
    length: int


@dataclass(frozen=True, slots=True)
class Port:
    """The UDP port of the sender's DHT node (BEP 5)."""

    port: int


@dataclass(frozen=True, slots=True)
class SuggestPiece:
    """You might like this piece (BEP 6)."""

    index: int


@dataclass(frozen=True, slots=True)
class HaveAll:
    """Instead of a bitfield: the sender has every piece (BEP 6)."""


@dataclass(frozen=True, slots=True)
class HaveNone:
    """Instead of a bitfield: the sender has no piece (BEP 6)."""


@dataclass(frozen=True, slots=True)
class RejectRequest:
    """This request will not be answered (BEP 6)."""

    index: int
    begin: int
    length: int


@dataclass(frozen=True, slots=True)
class AllowedFast:
    """You may ask for this piece even while choked (BEP 6)."""

    index: int


@dataclass(frozen=True, slots=True)
class Extended:
    """An extension's message; identifier 0 is the extension handshake (BEP 10)."""

    identifier: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class UnknownMessage:
    """A message of an identifier we do not know; ignored, as is the custom."""

    identifier: int


Message = (
    Request
    | Piece
    | Have
    | KeepAlive
    | Choke
    | Unchoke
    | Interested
    | NotInterested
    | BitfieldMessage
    | Cancel
    | Port
    | SuggestPiece
    | HaveAll
    | HaveNone
    | RejectRequest
    | AllowedFast
    | Extended
    | UnknownMessage
)

_CHOKE, _UNCHOKE, _INTERESTED, _NOT_INTERESTED, _HAVE, _BITFIELD, _REQUEST, _PIECE_ID, _CANCEL = range(9)
_PORT = 9
_SUGGEST, _HAVE_ALL, _HAVE_NONE, _REJECT, _ALLOWED_FAST = range(13, 18)
_EXTENDED = 20


def encode(message: Message) -> bytes:
    """The bytes of one message, length prefix included. For UnknownMessage: LocalProtocolError."""
    try:
        return _ENCODE[type(message)](message)
    except KeyError:
        raise LocalProtocolError(f"{message!r} is not a message that can be sent") from None


def decode(frame: memoryview) -> Message:
    """Read one message, without its length prefix. A `Piece` keeps a view into `frame`.

    Raises RemoteProtocolError for a message of a length it cannot have.
    """
    if not frame:
        return _KEEP_ALIVE
    read = _DECODE.get(frame[0])
    return UnknownMessage(frame[0]) if read is None else read(frame)


def _decode_piece(frame: memoryview) -> Piece:
    if not 9 < len(frame) <= 9 + MAX_REQUEST:
        raise RemoteProtocolError(f"a piece message of {len(frame)} bytes")
    _, index, begin = _PIECE.unpack_from(frame)
    return Piece(index, begin, frame[9:])


def _decode_triple(kind: type[Request | Cancel | RejectRequest]) -> Callable[[memoryview], Message]:
    def read(frame: memoryview) -> Message:
        if len(frame) != 13:
            raise RemoteProtocolError(f"a {kind.__name__} of {len(frame)} bytes")
        index, begin, length = _TRIPLE.unpack_from(frame, 1)
        if not 0 < length <= MAX_REQUEST:
            raise RemoteProtocolError(f"a {kind.__name__} for {length} bytes")
        return kind(index, begin, length)

    return read


def _decode_index(kind: type[Have | SuggestPiece | AllowedFast]) -> Callable[[memoryview], Message]:
    def read(frame: memoryview) -> Message:
        if len(frame) != 5:
            raise RemoteProtocolError(f"a {kind.__name__} of {len(frame)} bytes")
        return kind(_INDEX.unpack_from(frame, 1)[0])

    return read


def _decode_bare(message: Message) -> Callable[[memoryview], Message]:
    def read(frame: memoryview) -> Message:
        if len(frame) != 1:
            raise RemoteProtocolError(f"a {type(message).__name__} of {len(frame)} bytes")
        return message

    return read


def _decode_bitfield(frame: memoryview) -> BitfieldMessage:
    return BitfieldMessage(bytes(frame[1:]))


def _decode_port(frame: memoryview) -> Port:
    if len(frame) != 3:
        raise RemoteProtocolError(f"a Port of {len(frame)} bytes")
    return Port(frame[1] << 8 | frame[2])


def _decode_extended(frame: memoryview) -> Extended:
    if len(frame) < 2:
        raise RemoteProtocolError("an extended message without its identifier")
    return Extended(frame[1], bytes(frame[2:]))


def _encode_extended(message: Extended) -> bytes:
    head = _INDEX.pack(2 + len(message.payload)) + bytes((_EXTENDED, message.identifier))
    return head + message.payload


def _encode_triple(identifier: int) -> Callable[[Request | Cancel | RejectRequest], bytes]:
    return lambda m: _TRIPLE_MESSAGE.pack(13, identifier, m.index, m.begin, m.length)


def _encode_index(identifier: int) -> Callable[[Have | SuggestPiece | AllowedFast], bytes]:
    return lambda m: _HAVE_MESSAGE.pack(5, identifier, m.index)


def _encode_bare(identifier: int) -> Callable[[Message], bytes]:
    encoded = bytes((0, 0, 0, 1, identifier))
    return lambda m: encoded


_KEEP_ALIVE = KeepAlive()

_DECODE: dict[int, Callable[[memoryview], Message]] = {
    _CHOKE: _decode_bare(Choke()),
    _UNCHOKE: _decode_bare(Unchoke()),
    _INTERESTED: _decode_bare(Interested()),
    _NOT_INTERESTED: _decode_bare(NotInterested()),
    _HAVE: _decode_index(Have),
    _BITFIELD: _decode_bitfield,
    _REQUEST: _decode_triple(Request),
    _PIECE_ID: _decode_piece,
    _CANCEL: _decode_triple(Cancel),
    _PORT: _decode_port,
    _SUGGEST: _decode_index(SuggestPiece),
    _HAVE_ALL: _decode_bare(HaveAll()),
    _HAVE_NONE: _decode_bare(HaveNone()),
    _REJECT: _decode_triple(RejectRequest),
    _ALLOWED_FAST: _decode_index(AllowedFast),
    _EXTENDED: _decode_extended,
}

# Each encoder takes the one type it stands beside, which a dictionary's type cannot say.
_ENCODE: dict[type, Callable[..., bytes]] = {
    KeepAlive: lambda m: b"\0\0\0\0",
    Choke: _encode_bare(_CHOKE),
    Unchoke: _encode_bare(_UNCHOKE),
    Interested: _encode_bare(_INTERESTED),
    NotInterested: _encode_bare(_NOT_INTERESTED),
    Have: _encode_index(_HAVE),
    BitfieldMessage: lambda m: _INDEX.pack(1 + len(m.bits)) + bytes((_BITFIELD,)) + m.bits,
    Request: _encode_triple(_REQUEST),
    Piece: lambda m: _PIECE_HEADER.pack(9 + len(m.block), _PIECE_ID, m.index, m.begin) + m.block,
    Cancel: _encode_triple(_CANCEL),
    Port: lambda m: _PORT_MESSAGE.pack(3, _PORT, m.port),
    SuggestPiece: _encode_index(_SUGGEST),
    HaveAll: _encode_bare(_HAVE_ALL),
    HaveNone: _encode_bare(_HAVE_NONE),
    RejectRequest: _encode_triple(_REJECT),
    AllowedFast: _encode_index(_ALLOWED_FAST),
    Extended: _encode_extended,
}
