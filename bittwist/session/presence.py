"""What the peers of one torrent are told of us: how they are greeted, and what changes afterwards.

The opening (BEP 3, BEP 6), the extension handshake (BEP 10, BEP 21), pieces got and pieces lost (BEP 54), and
a seed's pretence of having nothing (BEP 16).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from random import Random
from typing import Protocol

from twisted.internet.interfaces import IReactorTime

from bittwist.errors import SessionError
from bittwist.metainfo.bitfield import Bitfield
from bittwist.metainfo.geometry import Geometry
from bittwist.session.conversation import Conversation
from bittwist.session.settings import SessionSettings
from bittwist.session.superseeding import Superseeding
from bittwist.session.uploads import MAX_ASKED
from bittwist.swarm.own_hosts import OwnHosts
from bittwist.swarm.superseed import Superseed
from bittwist.wire import lt_donthave
from bittwist.wire import messages as m
from bittwist.wire.extension import EXTENDED_HANDSHAKE, OURS, ExtensionHandshake
from bittwist.wire.runs import BlockData

MAX_TAKEN_BACK = 1000  # pieces that a peer is told are lost; of more it hears when it connects anew
MAX_RESTATED = 8  # further extension handshakes of ours to one peer: some drop those who send many


class Around(Protocol):
    """What this needs of the session's surroundings."""

    @property
    def clock(self) -> IReactorTime: ...
    @property
    def version(self) -> str: ...
    @property
    def random(self) -> Random: ...
    def settings(self) -> SessionSettings: ...
    def port(self) -> int: ...


class Presence:
    """Owns what the peers of one torrent believe that we have. `talks` are those who shook hands."""

    def __init__(
        self, around: Around, own_hosts: OwnHosts, talks: Callable[[], Iterable[Conversation]]
    ) -> None:
        self.pex: bool | None = None  # whether peer exchange is on; None: it never was
        self._metadata_size: int | None = None
        self._geometry: Geometry | None = None  # None until the metadata is known
        self._superseeds = False  # asked for; it takes effect while we are a seed
        self._around = around
        self._own_hosts = own_hosts
        self._talks = talks
        self._have: Bitfield | None = None  # None: blocks do not come and go
        self._finished: Callable[[], bool] = lambda: False
        self._before: Bitfield | None = None  # what the informed were told of, before a check under way
        self._informed: set[int] = set()
        self._superseeding: Superseeding | None = None
        self._upload_only = False  # as it was told last
        self._whole_at: float | None = None  # when there was last a whole copy in sight

    def know(self, geometry: Geometry, metadata_size: int) -> None:
        """The metadata is known."""
        self._geometry, self._metadata_size = geometry, metadata_size

    @property
    def upload_only(self) -> bool:
        """We want nothing of anybody (BEP 21), and say so."""
        return self._have is not None and self._finished() and not self._pretending

    @property
    def superseeds(self) -> bool:
        """Asked to, and not done with it."""
        return self._superseeds and (self._superseeding is None or not self._superseeding.over)

    @property
    def _pretending(self) -> bool:
        return self._superseeding is not None and not self._superseeding.over

    # The pieces

    def open(self, have: Bitfield, finished: Callable[[], bool], now: float) -> None:
        """The pieces are checked: these may be had of us; `finished`: whether we want no others."""
        before, self._before = self._before, None
        self._have, self._finished = have, finished
        strangers = []
        for talk in self._talks():
            if before is not None and talk.key in self._informed:
                talk.tell([index for index in have if index not in before])
                self._take_back(talk, [index for index in before if index not in have])
            else:
                strangers.append(talk)
        if not self._superseed(now, unaware=strangers):
            for talk in strangers:
                talk.tell(list(have))

    def suspend(self) -> None:
        """The pieces are about to be checked anew; who is here stays, unless it believes something else."""
        if self._have is None:
            return
        self._superseeds = self.superseeds
        self._before = self._have.copy()
        self._informed = {talk.key for talk in self._talks() if talk.knows is None}
        for talk in self._talks():
            if talk.knows is not None:
                talk.close(SessionError("the torrent is checked"))
        self._have = self._superseeding = None

    def close(self) -> None:
        """Nothing may be had of us for now, and nobody stays."""
        self._superseeds = self.superseeds  # what is over does not begin again
        self._have = self._superseeding = self._before = None

    def got(self, index: int, now: float) -> None:
        """A piece is verified and kept: tell those who lack it."""
        message = m.Have(index)
        for talk in self._talks():
            if talk.has is None or index not in talk.has:
                talk.peer.send(message)
        self._superseed(now)

    def _take_back(self, talk: Conversation, lost: list[int]) -> None:
        if not lost:
            return
        number = talk.extensions.m.get("lt_donthave", 0) if talk.extensions is not None else 0
        if not number or len(lost) > MAX_TAKEN_BACK:
            talk.close(SessionError("we have fewer pieces than before"))
            return
        for index in lost:
            talk.send_extended(m.Extended(number, lt_donthave.encode(index)))

    # The greeting

    def greeting(self, talk: Conversation) -> list[m.Message]:
        """What is said first, before anything else."""
        greeting: list[m.Message] = []
        have = self._have
        if self._superseeding is not None and not self._superseeding.over:
            self._superseeding.meets(talk)
            have = None
        if have is not None and not have.empty:
            whole = have.complete and talk.fast
            greeting.append(m.HaveAll() if whole else m.BitfieldMessage(have.to_bytes()))
        elif talk.fast:
            greeting.append(m.HaveNone())
        if talk.extended:
            greeting.append(self._introduction(talk))
        return greeting

    def restate(self, talk: Conversation) -> None:
        """Send the extension handshake again: all of it, since not everybody adds them up (BEP 10)."""
        if talk.extended:
            talk.send_extended(self._introduction(talk))

    def _introduction(self, talk: Conversation) -> m.Extended:
        offered = {name: number for name, number in OURS.items() if name != "ut_pex"}
        if self.pex is not None:
            offered["ut_pex"] = OURS["ut_pex"] if self.pex else 0
        upload_only = self.upload_only
        handshake = ExtensionHandshake(
            m=offered,
            version=self._around.version,
            reqq=MAX_ASKED,
            port=self._around.port() or None,
            yourip=talk.host,
            ipv4=self._own_hosts.public(4) if talk.address.is_ipv6 else None,
            ipv6=None if talk.address.is_ipv6 else self._own_hosts.public(6),
            metadata_size=self._metadata_size,
            upload_only=upload_only if upload_only or talk.told_upload_only else None,
            complete_ago=self._complete_ago(),
        )
        talk.told_upload_only = upload_only
        return m.Extended(EXTENDED_HANDSHAKE, handshake.encode())

    def _complete_ago(self) -> int | None:
        if self._pretending or self._whole_at is None:
            return None
        return max(0, int(self._around.clock.seconds() - self._whole_at))

    # Superseeding

    def superseed(self, on: bool, now: float) -> None:
        """Pretend to have nothing, or stop that: now, if we are a seed. Who knows already goes on knowing."""
        self._superseeds = on
        if on:
            self._superseed(now)
        elif self._superseeding is not None:
            self._superseeding.end()
            self._superseeding = None

    def _superseed(self, now: float, unaware: Iterable[Conversation] = ()) -> bool:
        """Begin to, if it is time; whether we superseed. Those `unaware` do not know what we have."""
        have = self._have
        if self._superseeds and self._superseeding is None and have is not None and have.complete:
            settings = self._around.settings().superseed
            policy = Superseed(have.num_pieces, self._around.random, settings)
            for talk in unaware:
                talk.knows = ()
            aware = [talk for talk in self._talks() if talk.knows is None]
            assert self._geometry is not None, "there is no piece without the metadata"
            self._superseeding = Superseeding(policy, have, self._geometry, self._talks, aware, now)
        return self._pretending

    def has_changed(self, talk: Conversation, index: int | None, now: float) -> None:
        """A peer has one piece more, or said anew what it has."""
        if self._superseeding is not None:
            self._superseeding.has_changed(talk, index, now)

    def gave(self, talk: Conversation, blocks: Sequence[BlockData], now: float) -> None:
        """A peer that does not know of all our pieces was given blocks."""
        if self._superseeding is not None:
            self._superseeding.gave(talk, blocks, now)

    def left(self, talk: Conversation, now: float) -> None:
        if self._superseeding is not None:
            self._superseeding.left(talk, now)

    def tick(self, now: float) -> None:
        """Once a second."""
        if self._superseeding is not None:
            self._superseeding.tick(now)
        if self._have is None:
            return
        if self._have.complete or any(talk.has is not None and talk.has.complete for talk in self._talks()):
            self._whole_at = now
        if self.upload_only is not self._upload_only:
            self._upload_only = self.upload_only
            for talk in self._talks():
                if talk.told_upload_only is not self._upload_only and talk.reintroduced < MAX_RESTATED:
                    talk.reintroduced += 1
                    self.restate(talk)
