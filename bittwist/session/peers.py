"""The peers of one torrent: who is let in, and what each says passed on to whom it concerns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from bittwist.discovery.pex import may_name
from bittwist.errors import BitTwistError, RemoteProtocolError, SessionError
from bittwist.metainfo.geometry import Geometry
from bittwist.session import metadata, presence, roster
from bittwist.session.conversation import Conversation
from bittwist.session.downloads import Downloads
from bittwist.session.introductions import OUR_ID as PEX_ID
from bittwist.session.introductions import Introductions
from bittwist.session.presence import Presence
from bittwist.session.roster import BothSeeds, Outranked, Roster
from bittwist.session.settings import SessionSettings
from bittwist.session.uploads import Uploads
from bittwist.swarm.candidates import Candidates, Source
from bittwist.swarm.own_hosts import OwnHosts
from bittwist.swarm.pipeline import Pipeline
from bittwist.wire import messages as m
from bittwist.wire.extension import EXTENDED_HANDSHAKE
from bittwist.wire.runs import Block, BlockData
from bittwist.wire.ut_metadata import MetadataRequest

MAX_RESTATED = 16  # bitfields of one peer, and one a second, besides those that take the place of many Haves
INTRODUCTION = 5.0  # seconds a seed that dialed a seed has to say where it listens, before they part
HAVE_SIZE, BITFIELD_HEAD = 9, 5  # bytes of a Have, and of a bitfield message beside its bits


class Around(roster.Around, presence.Around, Protocol):
    """What peers need of the session's surroundings."""

    @property
    def clock(self) -> IReactorTime: ...
    def settings(self) -> SessionSettings: ...
    def port(self) -> int: ...
    def next_key(self) -> int: ...


class Peers:
    """Every conversation of one torrent, by its running number.

    Before the metadata is known there is only `fetch` to talk to; `exchange` adds downloads and
    uploads once the pieces are checked.
    """

    def __init__(
        self,
        around: Around,
        candidates: Candidates,
        own_hosts: OwnHosts | None = None,
    ) -> None:
        self._clock = around.clock
        self._around = around
        self._candidates = candidates
        self._own_hosts = own_hosts if own_hosts is not None else OwnHosts()
        self._roster = Roster(around, candidates, self._own_hosts)
        self._presence = Presence(around, self._own_hosts, lambda: self._roster)
        self._geometry: Geometry | None = None
        self._raw_info: bytes | None = None
        self._downloads: Downloads | None = None
        self._uploads: Uploads | None = None
        self._meeting = False
        self._paused = False
        self._gone: list[Deferred[None]] = []
        self.fetch: metadata.MetadataFetch | None = None
        self.introductions: Introductions | None = None  # while peer exchange is on: see `introduce`
        self.wants_peers: Callable[[], None] = lambda: None  # told when a connection is gone

    def __len__(self) -> int:
        return len(self._roster)

    def __iter__(self) -> Iterator[Conversation]:
        return iter(self._roster)

    def conversation(self) -> Conversation:
        """For a connection about to be shaken hands on; it counts from `welcome` on."""
        return Conversation(
            self._around.next_key(),
            self,
            Pipeline(self._around.settings().pipeline),
            connected_at=self._clock.seconds(),
        )

    def know(self, geometry: Geometry, raw_info: bytes) -> None:
        """The metadata is known."""
        self._geometry, self._raw_info = geometry, raw_info
        self._presence.know(geometry, len(raw_info))
        self.fetch = None
        for talk in self:
            talk.learn_geometry(geometry)

    def exchange(self, downloads: Downloads, uploads: Uploads) -> None:
        """The pieces are checked: from now on blocks come and go."""
        self._downloads, self._uploads = downloads, uploads
        self._presence.open(downloads.have, lambda: downloads.finished, self._clock.seconds())
        for talk in self:
            self._exchange_with(talk)

    def wants_changed(self) -> None:
        """We want pieces, or we want none any more; after `exchange`."""
        if self._wants_nothing:
            self._part_from_seeds()
        else:
            self._candidates.wake(self._clock.seconds())  # seeds may be among those that were parted from

    def suspend(self) -> None:
        """The pieces are to be checked anew: who is here stays; no blocks come and go until `exchange`."""
        self._presence.suspend()
        for talk in self:
            for block in talk.pipeline.clear():
                talk.cancel(block)
            talk.interest(False)
        if self._uploads is not None:
            self._uploads.choke_all()
        self._downloads = self._uploads = None

    def announce_piece(self, index: int) -> None:
        """A piece is verified and kept: tell those who lack it."""
        self._presence.got(index, self._clock.seconds())
        if self._uploads is not None:
            self._uploads.came(index)
        self._part_from_seeds()

    def superseed(self, on: bool) -> None:
        """As a seed pretend to have nothing, so that each piece is given once (BEP 16); or stop that."""
        self._presence.superseed(on, self._clock.seconds())

    @property
    def superseeds(self) -> bool:
        """Whether that was asked for, and is not over."""
        return self._presence.superseeds

    def ban(self, host: str, reason: str) -> None:
        self._roster.ban(host, reason)

    def introduce(self, introductions: Introductions | None) -> None:
        """Turn peer exchange on, or off; those who are here are told."""
        if introductions is self.introductions:
            return
        self.introductions = introductions
        self._presence.pex = introductions is not None
        for talk in self:
            if introductions is not None:
                introductions.met(talk, self._clock.seconds())
            self._presence.restate(talk)

    def fetched(self) -> Counter[Source]:
        """Payload bytes by who named the peers that they came from; "incoming" are those who dialed us."""
        return self._roster.fetched()

    def part_from(self, refusal: Callable[[Conversation], str | None]) -> None:
        """Close the connections that there is a refusal for; others may come."""
        for talk in self:
            why = refusal(talk)
            if why is not None:
                talk.close(SessionError(why))

    def meet(self) -> None:
        """Let peers in, until `close`."""
        self._meeting = True

    def close(self, reason: BitTwistError) -> None:
        """End every conversation; new ones find no downloads and no uploads."""
        self._meeting = False
        self._downloads = self._uploads = None
        self._presence.close()
        for talk in self:
            talk.close(reason)

    def when_gone(self) -> Deferred[None]:
        """Fires when no conversation is left, which after `close` is soon."""
        gone: Deferred[None] = Deferred()
        self._gone.append(gone)
        self._tell_gone()
        return gone

    def _tell_gone(self) -> None:
        if self._roster.empty:
            waiting, self._gone = self._gone, []
            for gone in waiting:
                gone.callback(None)

    def pause(self) -> None:
        """Read from nobody, whoever comes, until `resume`."""
        self._paused = True
        for talk in self:
            talk.peer.pause()

    def resume(self) -> None:
        self._paused = False
        for talk in self:
            talk.peer.resume()

    def tick(self, now: float) -> None:
        if self.fetch is not None:
            self.fetch.tick(now)
        if self.introductions is not None:
            self.introductions.tick(now)
        self._presence.tick(now)
        for talk in self:
            talk.tick(now)
        self._part_from_seeds()

    @property
    def seeds(self) -> int:
        return self._roster.seeds

    # What conversations tell

    def welcome(self, talk: Conversation) -> BitTwistError | None:
        if not self._meeting:
            return SessionError("not running")
        refusal = self._roster.admit(talk)
        if refusal is not None:
            return refusal
        if self.introductions is not None:
            self.introductions.met(talk, self._clock.seconds())
        if self._paused:
            talk.peer.pause()
        return None

    @property
    def _is_seed(self) -> bool:
        return self._downloads is not None and self._downloads.have.complete

    @property
    def _wants_nothing(self) -> bool:
        """We have all that is wanted, if not all there is (BEP 21)."""
        return self._downloads is not None and self._downloads.finished

    def _part_from_seeds(self) -> None:
        if self._wants_nothing:
            for talk in self:
                self._part_if_seeds(talk)

    def _part_if_seeds(self, talk: Conversation) -> None:
        if self._wants_nothing and talk.wants_nothing and not self._about_to_introduce_itself(talk):
            talk.close(BothSeeds())

    def _about_to_introduce_itself(self, talk: Conversation) -> bool:
        """It may still say where others can dial it: they are told of seeds that we parted from (BEP 11)."""
        if self.introductions is None or talk.outgoing or not talk.extended or talk.extensions is not None:
            return False
        return self._clock.seconds() - talk.connected_at < INTRODUCTION

    def greeting(self, talk: Conversation) -> Sequence[m.Message]:
        if self._geometry is not None:
            talk.learn_geometry(self._geometry)
        greeting = self._presence.greeting(talk)
        if self._downloads is not None:
            self._exchange_with(talk)
        return greeting

    def _exchange_with(self, talk: Conversation) -> None:
        assert self._downloads is not None and talk.has is not None
        self._downloads.joined(talk, talk.has)

    def extended(self, talk: Conversation, message: m.Extended) -> None:
        now = self._clock.seconds()
        if message.identifier == EXTENDED_HANDSHAKE:
            seen_at = talk.extensions.yourip if talk.extensions is not None else None
            if seen_at is not None and may_name(seen_at, talk.host):
                self._own_hosts.told(seen_at, by=talk.host)
            if self.introductions is not None:
                self.introductions.met(talk, now)
            if self.fetch is not None:
                self.fetch.joined(talk, now)
            self._part_if_seeds(talk)
        elif message.identifier == PEX_ID and self.introductions is not None:
            self.introductions.received(talk, message.payload, now, seeding=self._is_seed)
        elif message.identifier == metadata.OUR_ID:
            told = metadata.read(message.payload)
            if isinstance(told, MetadataRequest):
                metadata.answer(talk, told, self._raw_info, now)
            elif told is not None and self.fetch is not None:
                self.fetch.received(talk, told, now)

    def has_changed(self, talk: Conversation, index: int | None) -> None:
        if self._downloads is None or talk.has is None or talk not in self._roster:
            return
        self._presence.has_changed(talk, index, self._clock.seconds())
        self._part_if_seeds(talk)
        if index is not None:
            self._downloads.have_announced(talk, index)
            return
        if self._restated(talk):
            self._downloads.joined(talk, talk.has)

    def _restated(self, talk: Conversation) -> bool:
        """It says anew what it has; whether it may. In place of Haves as long or longer it always may."""
        assert talk.has is not None
        gained = talk.has.count - talk.had
        talk.had = talk.has.count
        if gained * HAVE_SIZE >= BITFIELD_HEAD + (talk.has.num_pieces + 7) // 8:
            return True
        talk.restated += 1
        if talk.restated > MAX_RESTATED + self._clock.seconds() - talk.connected_at:
            talk.close(RemoteProtocolError("too many bitfields"))
            return False
        return True

    def has_lost(self, talk: Conversation, index: int) -> None:
        if self._downloads is None or talk.has is None or talk not in self._roster:
            return
        talk.withdrawn.append(index)

    def suggested(self, talk: Conversation, index: int) -> None:
        if self._downloads is not None:
            self._downloads.suggested(talk, index)

    def _take_back(self, talk: Conversation) -> None:
        """All that it lost in one turn costs as much as a bitfield."""
        lost, talk.withdrawn = talk.withdrawn, []
        if self._downloads is None or talk.has is None or not self._restated(talk):
            return
        self._presence.has_changed(talk, None, self._clock.seconds())
        self._downloads.have_withdrawn(talk, talk.has, [index for index in lost if index not in talk.has])

    def interest_changed(self, talk: Conversation) -> None:
        if self._uploads is not None:
            self._uploads.interest_changed(talk)

    def choke_changed(self, talk: Conversation) -> None:
        """What may be asked of it now is asked when it has `settled`: a turn may hold many of these."""
        if self._downloads is not None and talk.choking_us:
            self._downloads.choked(talk)

    def rejected(self, talk: Conversation, block: Block) -> None:
        if self._downloads is not None:
            self._downloads.rejected(talk, block)

    def requested(self, talk: Conversation, blocks: Sequence[Block]) -> None:
        if self._uploads is not None:
            self._uploads.requested(talk, blocks)
        elif talk.fast:
            for block in blocks:
                talk.reject(block)

    def cancelled(self, talk: Conversation, block: Block) -> None:
        if self._uploads is not None:
            self._uploads.cancelled(talk, block)

    def blocks(self, talk: Conversation, blocks: Sequence[BlockData]) -> None:
        if self._downloads is not None:
            self._downloads.blocks(talk, blocks)

    def gave(self, talk: Conversation, blocks: Sequence[BlockData]) -> None:
        self._presence.gave(talk, blocks, self._clock.seconds())

    def settled(self, talk: Conversation) -> None:
        if talk not in self._roster:
            return
        if talk.withdrawn:
            self._take_back(talk)
        if self._downloads is not None:
            self._downloads.ask(talk)
        if self._uploads is not None:
            self._uploads.give(talk)

    def drained(self, talk: Conversation) -> None:
        if self._downloads is not None:
            self._downloads.ask(talk)
        if self._uploads is not None:
            self._uploads.give(talk)

    def left(self, talk: Conversation, reason: Exception) -> None:
        now = self._clock.seconds()
        if not self._roster.left(talk, reason, wants_nothing=self._wants_nothing):
            return
        if self.introductions is not None:
            parted = isinstance(reason, (BothSeeds, Outranked))
            self.introductions.left(talk, as_good_as_others=parted)
        self._presence.left(talk, now)
        if self.fetch is not None:
            self.fetch.left(talk, now)
        if self._downloads is not None:
            self._downloads.left(talk)
        if self._uploads is not None:
            self._uploads.left(talk)
        self.wants_peers()
        self._tell_gone()
