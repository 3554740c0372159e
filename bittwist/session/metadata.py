"""The info dictionary by itself: fetched from peers for a magnet link, given to those who ask (BEP 9).

Fetched from many peers at once, those that claim one size together; whatever comes is hashed before it is
parsed. Where what several gave is wrong together, one after the other is asked for all of it: who gives a
whole wrong one is guilty, and when the right one is there, who gave other pieces than it has.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
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
PIPELINE = 4  # metadata pieces asked of a peer at once: some clients give few and reject the rest
MAX_COPIES = 2  # peers asked for one piece at a time
MAX_DRAFTS = 4  # claimed sizes followed at a time, MAX_METADATA bytes each at most: but one is right
MAX_DOUBTED = 4096  # pieces remembered of wrong dictionaries: six of the largest
PATIENCE = 10.0  # seconds for a peer to answer before it is left alone
GRACE = 20.0  # seconds a peer that is asked for all of it has, and
SLOWEST = 2.0  # seconds more for each piece, while there is another peer to ask: 8 KiB/s
WRONG = "metadata with another hash"
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


@dataclass(slots=True)
class _Giver:
    """A peer that offers the info dictionary; owned by MetadataFetch."""

    peer: MetadataPeer
    size: int
    asked: dict[int, None] = field(default_factory=dict)  # pieces it owes
    late: set[int] = field(default_factory=set)  # pieces it was asked for and may still send
    waited_since: float = 0.0
    resting: bool = False  # it did not give; asked again when nobody else is left

    def excuse(self) -> None:
        """It owes nothing any more."""
        self.late.update(self.asked)
        self.asked.clear()


@dataclass(slots=True)
class _Draft:
    """What came so far of an info dictionary of one claimed size; owned by MetadataFetch."""

    size: int
    pieces: dict[int, bytes] = field(default_factory=dict)
    hosts: dict[int, str] = field(default_factory=dict)  # who gave which piece
    alone: int | None = None  # the one giver that is asked, after several were wrong together
    alone_since: float = 0.0

    @property
    def count(self) -> int:
        return -(-self.size // METADATA_BLOCK)

    def forget(self) -> None:
        self.pieces.clear()
        self.hosts.clear()


class MetadataFetch:
    """Gets one info dictionary from all peers that give it. Owns what came of it."""

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
        self._givers: dict[int, _Giver] = {}
        self._drafts: dict[int, _Draft] = {}  # by claimed size
        self._doubted: list[tuple[str, int, bytes]] = []  # host, piece, hash: given for what was wrong

    @property
    def offers(self) -> int:
        """How many peers say that they have it."""
        return len(self._givers)

    def joined(self, peer: MetadataPeer, now: float) -> None:
        """A peer's extension handshake came."""
        told = peer.extensions
        if told is None or NAME not in told.m or not told.metadata_size:
            return
        if told.metadata_size > MAX_METADATA:
            return
        known = self._givers.get(peer.key)
        if known is not None and known.size == told.metadata_size:
            return
        self._givers[peer.key] = _Giver(peer, told.metadata_size)
        self._ask(now)

    def left(self, peer: MetadataPeer, now: float) -> None:
        giver = self._givers.pop(peer.key, None)
        if giver is not None:
            self._release(giver, now)

    def received(self, peer: MetadataPeer, message: MetadataMessage, now: float) -> None:
        giver = self._givers.get(peer.key)
        if giver is None or giver.resting:
            return
        match message:
            case MetadataPiece(piece, total_size, block):
                self._piece(giver, piece, total_size, bytes(block), now)
            case MetadataReject(piece) if piece in giver.asked:
                self._rest(giver, now)

    def tick(self, now: float) -> None:
        """Once a second: who does not answer is left for others."""
        for giver in tuple(self._givers.values()):
            if giver.asked and now - giver.waited_since > PATIENCE:
                self._rest(giver, now)
        for draft in tuple(self._drafts.values()):
            slow = self._givers.get(draft.alone) if draft.alone is not None else None
            if slow is None or now - draft.alone_since <= GRACE + SLOWEST * draft.count:
                continue
            if any(other.size == draft.size and other is not slow for other in self._giving()):
                self._rest(slow, now)
        if not any(self._giving()):
            for giver in self._givers.values():
                giver.resting = False  # everyone was tried: begin again
        self._ask(now)

    def _giving(self) -> Iterator[_Giver]:
        return (giver for giver in self._givers.values() if not giver.resting)

    def _ask(self, now: float) -> None:
        """Ask every giver for as much as it may owe."""
        for giver in tuple(self._giving()):
            draft = self._drafts.get(giver.size)
            if draft is None:
                if len(self._drafts) >= MAX_DRAFTS:
                    continue
                draft = self._drafts[giver.size] = _Draft(giver.size)
            if draft.alone is None or draft.alone == giver.peer.key:
                self._request(giver, draft, now)

    def _request(self, giver: _Giver, draft: _Draft, now: float) -> None:
        if not giver.asked:
            giver.waited_since = now
        owed = Counter(p for other in self._giving() if other.size == draft.size for p in other.asked)
        # First what nobody was asked for, then what one other owes: the last pieces wait for no slow peer.
        for copies in range(MAX_COPIES):
            for piece in range(draft.count):
                if len(giver.asked) >= PIPELINE:
                    return
                if owed[piece] == copies and piece not in draft.pieces and piece not in giver.asked:
                    giver.asked[piece] = None
                    send(giver.peer, MetadataRequest(piece))

    def _piece(self, giver: _Giver, piece: int, total: int, block: bytes, now: float) -> None:
        if piece in giver.late and piece not in giver.asked:
            giver.late.discard(piece)
            return
        draft = self._drafts.get(giver.size)
        length = min(METADATA_BLOCK, giver.size - piece * METADATA_BLOCK)
        if draft is None or piece not in giver.asked or total != giver.size or len(block) != length:
            self._rest(giver, now)
            return
        del giver.asked[piece]
        giver.waited_since = now
        if piece not in draft.pieces:
            draft.pieces[piece] = block
            draft.hosts[piece] = giver.peer.host
        if len(draft.pieces) < draft.count:
            self._request(giver, draft, now)
        else:
            self._whole(draft, now)

    def _whole(self, draft: _Draft, now: float) -> None:
        raw = b"".join(draft.pieces[index] for index in range(draft.count))
        if not matches(raw, self._info_hash):
            self._wrong(draft, now)
            return
        self._judge(draft)
        self._givers.clear()
        self._drafts.clear()
        try:
            info = Info.parse(raw)
        except MetainfoError as error:
            self._broke(error)
            return
        self._arrived(info)

    def _wrong(self, draft: _Draft, now: float) -> None:
        hosts = dict.fromkeys(draft.hosts.values())
        if len(hosts) > 1:
            for index, host in draft.hosts.items():
                self._doubted.append((host, index, hashlib.sha1(draft.pieces[index]).digest()))
            del self._doubted[:-MAX_DOUBTED]
        draft.forget()
        for giver in self._givers.values():
            if giver.size == draft.size:
                giver.excuse()
        if len(hosts) == 1:
            (host,) = hosts
            self._guilty(host, WRONG)
            for giver in tuple(self._givers.values()):
                if giver.peer.host == host:
                    giver.resting = True
        self._next_alone(draft, now)
        self._ask(now)

    def _next_alone(self, draft: _Draft, now: float) -> None:
        draft.forget()
        draft.alone_since = now
        draft.alone = next((g.peer.key for g in self._giving() if g.size == draft.size), None)
        if draft.alone is None:
            del self._drafts[draft.size]  # nobody left who claims that size

    def _judge(self, draft: _Draft) -> None:
        """The right one is there: who gave other pieces before is proven guilty."""
        right = {index: hashlib.sha1(block).digest() for index, block in draft.pieces.items()}
        for host in dict.fromkeys(
            host for host, index, digest in self._doubted if right.get(index) != digest
        ):
            self._guilty(host, WRONG)

    def _rest(self, giver: _Giver, now: float) -> None:
        giver.resting = True
        self._release(giver, now)

    def _release(self, giver: _Giver, now: float) -> None:
        """What it owed is asked of others."""
        giver.excuse()
        draft = self._drafts.get(giver.size)
        if draft is not None and draft.alone == giver.peer.key:
            self._next_alone(draft, now)
        elif draft is not None and not any(other.size == draft.size for other in self._giving()):
            del self._drafts[giver.size]
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
