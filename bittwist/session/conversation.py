"""One peer of one torrent: what it says goes to downloads, uploads and metadata; what they say goes to it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from bittwist.address import Address
from bittwist.errors import BitTwistError, MetainfoError, RemoteProtocolError
from bittwist.metainfo.bitfield import Bitfield
from bittwist.metainfo.geometry import Geometry
from bittwist.metainfo.peerid import client_name
from bittwist.peer.protocol import PeerProtocol
from bittwist.session.metadata import Given
from bittwist.session.statistics import PeerStatistics
from bittwist.swarm.candidates import Source
from bittwist.swarm.choker import PeerRates
from bittwist.swarm.pipeline import Pipeline
from bittwist.swarm.rate import Rate
from bittwist.wire import lt_donthave
from bittwist.wire import messages as m
from bittwist.wire.extension import EXTENDED_HANDSHAKE, OURS, ExtensionHandshake
from bittwist.wire.handshake import Handshake
from bittwist.wire.runs import Block, BlockData, Pieces, Requests
from bittwist.wire.standing import Standing

MAX_EARLY_HAVES = 1 << 13  # pieces named before the metadata is known; more can wait for a new connection
MAX_ALLOWED_FAST = 64  # pieces; the sets of BEP 6 have about 10
MAX_UNREAD = 768 * 1024  # bytes that wait for a peer: blocks stop at 512 KiB, so it speaks and does not read
INCOMING: Source = ("incoming", "")  # who dialed us, and was not named to us


class Hub(Protocol):
    """The torrent as its conversations see it."""

    def welcome(self, talk: Conversation) -> BitTwistError | None:
        """A handshake is complete: what speaks against this peer, if anything does."""
        ...

    def greeting(self, talk: Conversation) -> Sequence[m.Message]: ...
    def extended(self, talk: Conversation, message: m.Extended) -> None: ...
    def has_changed(self, talk: Conversation, index: int | None) -> None: ...
    def has_lost(self, talk: Conversation, index: int) -> None: ...
    def suggested(self, talk: Conversation, index: int) -> None: ...
    def interest_changed(self, talk: Conversation) -> None: ...
    def choke_changed(self, talk: Conversation) -> None: ...
    def rejected(self, talk: Conversation, block: Block) -> None: ...
    def requested(self, talk: Conversation, blocks: Sequence[Block]) -> None: ...
    def cancelled(self, talk: Conversation, block: Block) -> None: ...
    def blocks(self, talk: Conversation, blocks: Sequence[BlockData]) -> None: ...
    def gave(self, talk: Conversation, blocks: Sequence[BlockData]) -> None:
        """It was given blocks; told only while it does not know of all that we have."""
        ...

    def settled(self, talk: Conversation) -> None: ...
    def drained(self, talk: Conversation) -> None: ...
    def left(self, talk: Conversation, reason: Exception) -> None: ...


class Conversation:
    """The callbacks of a PeerProtocol, and the source and the taker of blocks that it is."""

    takes_runs = True

    def __init__(self, key: int, hub: Hub, pipeline: Pipeline, *, connected_at: float) -> None:
        self.key = key
        self.pipeline = pipeline
        self.connected_at = connected_at
        self.has: Bitfield | None = None  # None until the metadata tells how many pieces there are
        self.extensions: ExtensionHandshake | None = None
        self.dialed: list[Address] = []  # the candidates that lead here, not to be dialed meanwhile
        self.source: Source = INCOMING  # who named the first of them
        self.metadata_given = Given()
        self.restated = 0  # how often it said anew what it has
        self.had = 0  # how many pieces, when it last did
        self.withdrawn: list[int] = []  # pieces it has said in this turn that it has no longer
        self.allowed_fast: set[int] = set()
        self.knows: Collection[int] | None = None  # pieces it was told that we have; None: of all
        self.told_upload_only = False  # that we want nothing (BEP 21)
        self.reintroduced = 0  # how often we said anew what we want
        self.download_rate = Rate()
        self.upload_rate = Rate()
        self.downloaded = 0  # payload bytes; downloads and uploads count here
        self.uploaded = 0
        self._hub = hub
        self._peer: PeerProtocol | None = None
        self._early: list[m.Message] = []
        self._was_interested = False

    # What the protocol tells

    def handshaken(self, peer: PeerProtocol, handshake: Handshake) -> None:
        self._peer = peer
        refusal = self._hub.welcome(self)
        if refusal is not None:
            peer.close(refusal)
            return
        peer.send(*self._hub.greeting(self))

    def received(self, peer: PeerProtocol, message: m.Message | Pieces | Requests) -> None:
        match message:
            case Pieces(blocks):
                self._hub.blocks(self, blocks)
            case Requests(asked):
                self._hub.requested(self, asked)
            case m.Have() | m.BitfieldMessage() | m.HaveAll() | m.HaveNone():
                self._learn(message)
            case m.Cancel(index, begin, length):
                self._hub.cancelled(self, (index, begin, length))
            case m.RejectRequest(index, begin, length):
                if self.choking_us:
                    self.allowed_fast.discard(index)  # it has thought better of it
                self._hub.rejected(self, (index, begin, length))
            case m.Choke() | m.Unchoke():
                self._hub.choke_changed(self)
            case m.Interested() | m.NotInterested():
                if self.interested is not self._was_interested:
                    self._was_interested = self.interested
                    self._hub.interest_changed(self)
            case m.AllowedFast(index):
                # It is asked for them when it has `settled`.
                if len(self.allowed_fast) < MAX_ALLOWED_FAST:
                    self.allowed_fast.add(index)
            case m.SuggestPiece(index):
                self._hub.suggested(self, index)
            case m.Extended():
                self._extended(message)
            case _:
                # Keep-alives, ports and messages of later BEPs change nothing here.
                pass

    def settled(self, peer: PeerProtocol) -> None:
        self._hub.settled(self)

    def drained(self, peer: PeerProtocol) -> None:
        self._hub.drained(self)

    def lost(self, peer: PeerProtocol, reason: Exception) -> None:
        self._hub.left(self, reason)

    # What the peer has

    def learn_geometry(self, geometry: Geometry) -> None:
        """The metadata is known: what was said of pieces before now means something."""
        if self._peer is not None:
            self._peer.know(geometry)
        self.has = Bitfield(geometry.num_pieces)
        early, self._early = self._early, []
        for message in early:
            self._learn(message)

    def _learn(self, message: m.Message) -> None:
        if self.has is None:
            if not isinstance(message, (m.Have, m.Extended)):
                self._early = [message]  # it says all there is to say
            elif len(self._early) < MAX_EARLY_HAVES:
                self._early.append(message)
            return
        match message:
            case m.Have(index):
                if index >= self.has.num_pieces:
                    self.close(RemoteProtocolError(f"have of piece {index} of {self.has.num_pieces}"))
                elif self.has.add(index):
                    self._hub.has_changed(self, index)
            case m.BitfieldMessage(bits):
                try:
                    self.has = Bitfield.from_bytes(bytes(bits), self.has.num_pieces)
                except MetainfoError as error:
                    self.close(RemoteProtocolError(error.reason))
                    return
                self._hub.has_changed(self, None)
            case m.HaveAll():
                self.has = Bitfield.full(self.has.num_pieces)
                self._hub.has_changed(self, None)
            case m.Extended():
                index = lt_donthave.decode(message.payload)
                if index >= self.has.num_pieces:
                    self.close(RemoteProtocolError(f"donthave of piece {index} of {self.has.num_pieces}"))
                elif self.has.discard(index):
                    self._hub.has_lost(self, index)
            case m.HaveNone() if not self.has.empty:
                self.has = Bitfield(self.has.num_pieces)
                self._hub.has_changed(self, None)

    def _extended(self, message: m.Extended) -> None:
        if message.identifier == EXTENDED_HANDSHAKE:
            told = ExtensionHandshake.decode(message.payload)
            self.extensions = told if self.extensions is None else self.extensions.updated(told)
            if self.extensions.reqq is not None:
                self.pipeline.limit(self.extensions.reqq)
        elif message.identifier == OURS["lt_donthave"]:
            lt_donthave.decode(message.payload)  # a fault is to be theirs now, not ours later
            self._learn(message)
            return
        self._hub.extended(self, message)

    # What it is to downloads: a source

    @property
    def peer(self) -> PeerProtocol:
        """The protocol; only after the handshake."""
        assert self._peer is not None
        return self._peer

    @property
    def connected(self) -> bool:
        return self._peer is not None

    @property
    def address(self) -> Address:
        return self.peer.address

    @property
    def host(self) -> str:
        return self.peer.address.host

    @property
    def outgoing(self) -> bool:
        """It was dialed by us."""
        return self.peer.outgoing

    @property
    def standing(self) -> Standing:
        """Choke and interest, both ways."""
        standing = self.peer.standing
        assert standing is not None
        return standing

    @property
    def extended(self) -> bool:
        """It speaks the extension protocol (BEP 10)."""
        return self.peer.remote is not None and self.peer.remote.extended

    @property
    def fast(self) -> bool:
        """Both ends speak BEP 6."""
        return self.standing.fast

    @property
    def choking_us(self) -> bool:
        return self.standing.peer_choking

    @property
    def choked_by_us(self) -> bool:
        return self.standing.am_choking

    @property
    def wants_nothing(self) -> bool:
        """It is a seed, or has all that it wants (BEP 21)."""
        if self.extensions is not None and self.extensions.upload_only:
            return True
        return self.has is not None and self.has.complete

    @property
    def interested(self) -> bool:
        """It wants pieces of ours."""
        return self.standing.peer_interested

    def askable(self) -> Collection[int] | bool:
        if self.peer.unsent > MAX_UNREAD:
            return False  # until it has `drained`
        if not self.choking_us:
            return True
        return self.allowed_fast if self.allowed_fast else False

    def request(self, blocks: Sequence[Block]) -> None:
        self.peer.request(blocks)

    def cancel(self, block: Block) -> None:
        self.peer.send(m.Cancel(*block))

    def interest(self, wanted: bool) -> None:
        if wanted is not self.standing.am_interested:
            self.peer.send(m.Interested() if wanted else m.NotInterested())

    def send_extended(self, message: m.Extended) -> None:
        self._reply(message)

    def close(self, reason: BitTwistError) -> None:
        self.peer.close(reason)

    # What it is to uploads: a taker

    @property
    def unsent(self) -> int:
        return self.peer.unsent

    def choke(self) -> None:
        self.peer.send(m.Choke())

    def unchoke(self) -> None:
        self.peer.send(m.Unchoke())

    def allow_fast(self, indices: Sequence[int]) -> None:
        self.peer.send(*[m.AllowedFast(index) for index in indices])

    def suggest(self, index: int) -> None:
        """Only where both ends speak BEP 6."""
        self.peer.send(m.SuggestPiece(index))

    def tell(self, indices: Sequence[int]) -> None:
        """We have these pieces."""
        self.peer.send(*[m.Have(index) for index in indices])

    def reject(self, block: Block) -> None:
        self._reply(m.RejectRequest(*block))

    def give(self, blocks: Sequence[BlockData]) -> None:
        self.peer.send_blocks(blocks)
        if self.knows is not None:
            self._hub.gave(self, blocks)

    def _reply(self, message: m.Message) -> None:
        """What a peer can have us say as often as it likes, as long as it reads."""
        if self.peer.unsent > MAX_UNREAD:
            self.close(RemoteProtocolError("it asks and does not read"))
        else:
            self.peer.send(message)

    def rates(self, now: float) -> PeerRates:
        return PeerRates(
            key=self.key,
            interested=self.interested,
            download_rate=self.download_rate.per_second(now),
            upload_rate=self.upload_rate.per_second(now),
            snubbed=self.pipeline.snubbed(now),
            connected_at=self.connected_at,
            host=self.host,
        )

    # The second hand, and what is shown

    def tick(self, now: float) -> None:
        self.download_rate.add(self.downloaded - self.download_rate.total, now)
        self.upload_rate.add(self.uploaded - self.upload_rate.total, now)

    def statistics(self, now: float) -> PeerStatistics:
        has = self.has
        remote = self.peer.remote
        version = self.extensions.version if self.extensions is not None else None
        return PeerStatistics(
            address=str(self.address),
            client=version or (client_name(remote.peer_id) if remote is not None else ""),
            outgoing=self.peer.outgoing,
            progress=has.count / has.num_pieces if has is not None and has.num_pieces else 0.0,
            downloaded=self.downloaded,
            uploaded=self.uploaded,
            download_rate=self.download_rate.per_second(now),
            upload_rate=self.upload_rate.per_second(now),
            choking_us=self.choking_us,
            choked_by_us=self.choked_by_us,
            interested=self.interested,
        )
