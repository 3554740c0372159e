"""The info dictionary by itself: fetched from peers for a magnet link, given to those who ask (BEP 9).

Fetched from one peer at a time; whatever comes is hashed before it is parsed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from bittwist.errors import MetainfoError, RemoteProtocolError
from bittwist.metainfo.info import Info
from bittwist.metainfo.infohash import InfoHash
from bittwist.wire.extension import ExtensionHandshake
from bittwist.wire.messages import Extended
from bittwist.wire.ut_metadata import (
    MAX_METADATA,
    METADATA_BLOCK,
    MetadataMessage,
    MetadataPiece,
    MetadataReject,
    MetadataRequest,
    decode,
    encode,
)

OUR_ID = 1  # the extended message identifier under which peers send us ut_metadata
NAME = "ut_metadata"
PIPELINE = 4  # metadata pieces asked for at once: some clients give few and reject the rest
PATIENCE = 10.0  # seconds for a peer to answer before another is asked
GRACE = 20.0  # seconds a peer has for all of it, and
SLOWEST = 2.0  # seconds more for each piece, while there is another peer to ask: 8 KiB/s
MAX_ANSWERS = 64  # metadata pieces given to one peer in a second: the rest of its bandwidth is for blocks
MAX_UNSENT = 512 * 1024  # bytes that wait for a peer, above which it is given no metadata


@dataclass(slots=True)
class Given:
    """How much a peer was given of the info dictionary in the current second; kept with the peer."""

    second: int = 0
    pieces: int = 0


class MetadataPeer(Protocol):
    """A peer as far as metadata goes."""

    @property
    def key(self) -> int: ...
    @property
    def host(self) -> str: ...
    @property
    def extensions(self) -> ExtensionHandshake | None: ...
    @property
    def unsent(self) -> int: ...
    @property
    def metadata_given(self) -> Given: ...
    def send_extended(self, message: Extended) -> None: ...


def matches(raw: bytes, info_hash: InfoHash) -> bool:
    """Whether an info dictionary has the hash it was asked for by."""
    if info_hash.v1 is not None:
        return hashlib.sha1(raw).digest() == info_hash.v1
    return hashlib.sha256(raw).digest() == info_hash.v2


class MetadataFetch:
    """Gets one info dictionary from whichever peer gives it."""

    def __init__(
        self,
        info_hash: InfoHash,
        arrived: Callable[[Info], None],
        guilty: Callable[[str, str], None],
        broke: Callable[[MetainfoError], None],
    ) -> None:
        self._info_hash = info_hash
        self._arrived = arrived
        self._guilty = guilty
        self._broke = broke
        self._peers: dict[int, MetadataPeer] = {}
        self._asking: MetadataPeer | None = None
        self._asked_at = 0.0  # or when it last made progress
        self._began_at = 0.0
        self._pieces: dict[int, bytes] = {}
        self._asked: set[int] = set()
        self._total = 0
        self._refused: set[int] = set()

    def joined(self, peer: MetadataPeer, now: float) -> None:
        """A peer's extension handshake came."""
        told = peer.extensions
        if told is None or NAME not in told.m or not told.metadata_size:
            return
        if told.metadata_size > MAX_METADATA:
            return
        self._peers[peer.key] = peer
        self._ask(now)

    def left(self, peer: MetadataPeer, now: float) -> None:
        self._peers.pop(peer.key, None)
        if self._asking is peer:
            self._asking = None
            self._ask(now)

    def received(self, peer: MetadataPeer, message: MetadataMessage, now: float) -> None:
        if peer is not self._asking:
            return
        match message:
            case MetadataPiece(piece, total_size, block):
                self._piece(peer, piece, total_size, bytes(block), now)
            case MetadataReject():
                self._give_up(peer, now)

    def tick(self, now: float) -> None:
        """Once a second: a peer that does not answer is left for the next."""
        if self._asking is not None and now - self._asked_at > PATIENCE:
            self._give_up(self._asking, now)
        elif self._asking is not None:
            if now - self._began_at > GRACE + SLOWEST * self._count and self._next() is not None:
                self._give_up(self._asking, now)
        else:
            self._refused.clear()  # everyone was tried: begin again
            self._ask(now)

    def _ask(self, now: float) -> None:
        if self._asking is not None:
            return
        peer = self._next()
        if peer is None or peer.extensions is None:
            return
        self._asking, self._asked_at, self._began_at = peer, now, now
        self._total = peer.extensions.metadata_size or 0
        self._pieces.clear()
        self._asked.clear()
        self._request(peer)

    def _next(self) -> MetadataPeer | None:
        """Who would be asked, if the one that is being asked were given up."""
        for key, peer in self._peers.items():
            if key not in self._refused and peer is not self._asking:
                return peer
        return None

    def _request(self, peer: MetadataPeer) -> None:
        for piece in range(self._count):
            if len(self._asked) - len(self._pieces) >= PIPELINE:
                return
            if piece not in self._asked:
                self._asked.add(piece)
                send(peer, MetadataRequest(piece))

    @property
    def _count(self) -> int:
        return -(-self._total // METADATA_BLOCK)

    def _piece(self, peer: MetadataPeer, piece: int, total: int, block: bytes, now: float) -> None:
        length = min(METADATA_BLOCK, self._total - piece * METADATA_BLOCK)
        if piece not in self._asked or total != self._total or len(block) != length:
            self._give_up(peer, now)
            return
        if piece in self._pieces:
            return  # no progress, or an answer to what we asked before
        self._pieces[piece] = block
        self._asked_at = now
        if len(self._pieces) < self._count:
            self._request(peer)
            return
        raw = b"".join(self._pieces[index] for index in range(self._count))
        if not matches(raw, self._info_hash):
            self._guilty(peer.host, "metadata with another hash")
            self._give_up(peer, now)
            return
        try:
            info = Info.parse(raw)
        except MetainfoError as error:
            self._broke(error)
            return
        self._arrived(info)

    def _give_up(self, peer: MetadataPeer, now: float) -> None:
        self._refused.add(peer.key)
        self._asking = None
        self._ask(now)


def answer(peer: MetadataPeer, request: MetadataRequest, raw: bytes | None, now: float) -> None:
    """Give a peer a piece of the info dictionary, or say that it cannot be had, or not now."""
    begin = request.piece * METADATA_BLOCK
    given = peer.metadata_given
    if given.second != int(now):
        given.second, given.pieces = int(now), 0
    given.pieces += 1
    if raw is None or begin >= len(raw) or given.pieces > MAX_ANSWERS or peer.unsent >= MAX_UNSENT:
        send(peer, MetadataReject(request.piece))
    else:
        send(peer, MetadataPiece(request.piece, len(raw), raw[begin : begin + METADATA_BLOCK]))


def send(peer: MetadataPeer, message: MetadataMessage) -> None:
    """Send a ut_metadata message under the identifier the peer chose, if it speaks it."""
    if peer.extensions is not None and peer.extensions.m.get(NAME):
        peer.send_extended(Extended(peer.extensions.m[NAME], encode(message)))


def read(payload: bytes) -> MetadataMessage | None:
    """A ut_metadata message; None for kinds this version does not know. Raises RemoteProtocolError."""
    return decode(payload)


__all__ = ["NAME", "OUR_ID", "MetadataFetch", "MetadataPeer", "RemoteProtocolError", "answer", "read"]
