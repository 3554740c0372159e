"""The messages that fetch an info dictionary from peers (BEP 9: ut_metadata)."""

from __future__ import annotations

from dataclasses import dataclass

from bittwist.errors import BencodeError, LocalProtocolError, RemoteProtocolError
from bittwist.metainfo import bencode

METADATA_BLOCK = 16 << 10  # every piece of the metadata has as many bytes, the last one what is left
MAX_METADATA = 10 << 20  # refuse bigger info dictionaries (BEP 9 sets no limit)

_REQUEST, _DATA, _REJECT = range(3)


@dataclass(frozen=True, slots=True)
class MetadataRequest:
    """Send me this piece of the info dictionary."""

    piece: int


@dataclass(frozen=True, slots=True)
class MetadataPiece:
    """A piece of the info dictionary, which has `total_size` bytes."""

    piece: int
    total_size: int
    block: bytes


@dataclass(frozen=True, slots=True)
class MetadataReject:
    """You do not get this piece from me."""

    piece: int


MetadataMessage = MetadataRequest | MetadataPiece | MetadataReject


def metadata_piece_length(piece: int, total_size: int) -> int:
    """Bytes in a piece of metadata; 0 or less where there is no such piece."""
    return min(METADATA_BLOCK, total_size - piece * METADATA_BLOCK)


def encode(message: MetadataMessage) -> bytes:
    """The payload of the `Extended` message."""
    match message:
        case MetadataRequest(piece):
            return bencode.encode({b"msg_type": _REQUEST, b"piece": piece})
        case MetadataPiece(piece, total_size, block):
            if len(block) != metadata_piece_length(piece, total_size):
                raise LocalProtocolError(
                    f"{len(block)} bytes for metadata piece {piece} of {total_size} bytes"
                )
            head = {b"msg_type": _DATA, b"piece": piece, b"total_size": total_size}
            return bencode.encode(head) + block
        case MetadataReject(piece):
            return bencode.encode({b"msg_type": _REJECT, b"piece": piece})


def decode(payload: bytes) -> MetadataMessage | None:
    """Read a payload; None for a kind of message we do not know, which BEP 9 has us ignore.

    Raises RemoteProtocolError for what is not of that form, or cannot be: a piece beyond the total, a total
    over `MAX_METADATA`, a block of a wrong length.
    """
    try:
        head, end = bencode.decode_prefix(payload)
    except BencodeError as error:
        raise RemoteProtocolError(f"a metadata message that is not bencoded: {error}") from error
    if not isinstance(head, dict):
        raise RemoteProtocolError("a metadata message that is no dictionary")
    kind = _number(head, b"msg_type", 1 << 31)
    if kind not in (_REQUEST, _DATA, _REJECT):
        return None
    piece = _number(head, b"piece", MAX_METADATA // METADATA_BLOCK - 1)
    if kind == _DATA:
        return _metadata_piece(piece, _number(head, b"total_size", MAX_METADATA), payload[end:])
    return MetadataRequest(piece) if kind == _REQUEST else MetadataReject(piece)


def _metadata_piece(piece: int, total_size: int, block: bytes) -> MetadataPiece:
    if not block or len(block) != metadata_piece_length(piece, total_size):
        raise RemoteProtocolError(f"{len(block)} bytes as metadata piece {piece} of {total_size} bytes")
    return MetadataPiece(piece, total_size, block)


def _number(head: dict[bytes, bencode.Value], key: bytes, most: int) -> int:
    value = head.get(key)
    if not isinstance(value, int) or not 0 <= value <= most:
        raise RemoteProtocolError(f"a metadata message with {key.decode()} {value!r:.40}")
    return value
