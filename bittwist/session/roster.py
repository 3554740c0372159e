"""The connections of one torrent: who is let in, who has to go for another, and who is dialed again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Protocol

from twisted.internet.interfaces import IReactorTime

from bittwist.errors import BitTwistError, RemoteProtocolError, SessionError
from bittwist.session.conversation import Conversation
from bittwist.session.dialing import why
from bittwist.session.ranks import Ranks
from bittwist.session.settings import SessionSettings
from bittwist.swarm.candidates import Candidates, Source
from bittwist.swarm.own_hosts import OwnHosts

SEEDS_APART = 3600.0  # seconds until a seed is dialed by a seed again: it may be one no longer
AGAIN_AFTER = 1.0  # seconds until a peer is dialed again that we parted from for other reasons


class BothSeeds(SessionError):
    """Neither end wants anything of the other."""

    def __init__(self) -> None:
        super().__init__("both are seeds")


class Outranked(SessionError):
    """There are enough peers, and another one has a higher priority (BEP 40)."""

    def __init__(self) -> None:
        super().__init__("enough peers, and others come before this one")


class Limits(Protocol):
    """How many connections there may be."""

    def room_for_peer(self, torrent_peers: int) -> bool: ...


class Around(Protocol):
    """What this needs of the session's surroundings."""

    @property
    def clock(self) -> IReactorTime: ...
    @property
    def peer_id(self) -> bytes: ...
    @property
    def limits(self) -> Limits: ...
    def settings(self) -> SessionSettings: ...
    def port(self) -> int: ...


class Roster:
    """Owns the conversations by their running numbers; tells the candidates what became of each."""

    def __init__(self, around: Around, candidates: Candidates, own_hosts: OwnHosts) -> None:
        self._around = around
        self._candidates = candidates
        self._ranks = Ranks(own_hosts, around.port)
        self._talks: dict[int, Conversation] = {}
        self._outranked: set[int] = set()  # keys of those that are being parted from for another
        self._fetched: Counter[Source] = Counter()  # payload bytes of peers that are gone, by who named them

    def __len__(self) -> int:
        """How many count as peers."""
        return len(self._talks) - len(self._outranked)

    def __iter__(self) -> Iterator[Conversation]:
        """All that are here now, whoever comes or goes meanwhile."""
        return iter(tuple(self._talks.values()))

    def __contains__(self, talk: Conversation) -> bool:
        return talk.key in self._talks

    @property
    def empty(self) -> bool:
        """Nobody is here, nor on the way out."""
        return not self._talks

    @property
    def seeds(self) -> int:
        return sum(1 for talk in self._talks.values() if talk.has is not None and talk.has.complete)

    def fetched(self) -> Counter[Source]:
        """Payload bytes by who named the peers that they came from; "incoming" are those who dialed us."""
        fetched = Counter(self._fetched)
        for talk in self._talks.values():
            fetched[talk.source] += talk.downloaded
        return fetched

    def admit(self, talk: Conversation) -> BitTwistError | None:
        """Let a peer in that has shaken hands; or why not."""
        if self._candidates.banned(talk.host):
            return SessionError("banned")
        of_host = sum(1 for other in self._talks.values() if other.host == talk.host)
        twin = self._twin(talk)
        if twin is not None:
            # Both ends may have dialed at once: both keep the one dialed by the larger peer id.
            assert talk.peer.remote is not None
            ours_dials = self._around.peer_id > talk.peer.remote.peer_id
            if talk.peer.outgoing is twin.peer.outgoing or talk.peer.outgoing is not ours_dials:
                self._came_by(twin, talk)
                return SessionError("connected already")
            talk.dialed, twin.dialed = twin.dialed, []
            talk.source = twin.source
            twin.close(SessionError("connected already"))
        elif of_host >= self._around.settings().max_peers_per_host:
            return SessionError("enough peers of that host")
        elif not self._around.limits.room_for_peer(len(self)) and not self._make_room(talk):
            return SessionError("enough peers")
        self._talks[talk.key] = talk
        self._came_by(talk, talk)
        return None

    def ban(self, host: str, reason: str) -> None:
        self._candidates.ban(host, reason)
        for talk in self:
            if talk.host == host:
                talk.close(RemoteProtocolError(reason))

    def left(self, talk: Conversation, reason: Exception, *, wants_nothing: bool) -> bool:
        """A connection is gone; whether it had been let in. `wants_nothing`: we want nothing of anybody."""
        if self._talks.pop(talk.key, None) is None:
            return False
        self._outranked.discard(talk.key)
        self._fetched[talk.source] += talk.downloaded
        now = self._around.clock.seconds()
        for address in talk.dialed:
            if isinstance(reason, SessionError):
                seeds = isinstance(reason, BothSeeds) and wants_nothing
                self._candidates.parted(address, now, SEEDS_APART if seeds else AGAIN_AFTER)
            else:
                self._candidates.lost(address, why(reason), now)
        return True

    def _make_room(self, talk: Conversation) -> bool:
        """Part from one who comes after `talk`, if there is one."""
        staying = [other for other in self._talks.values() if other.key not in self._outranked]
        weakest = self._ranks.outranked(talk, staying, self._around.clock.seconds())
        if weakest is not None:
            self._outranked.add(weakest.key)
            weakest.close(Outranked())
        return weakest is not None

    def _came_by(self, talk: Conversation, dialed: Conversation) -> None:
        """While `talk` lasts there is no need to dial its peer where `dialed` has found it."""
        if dialed.peer.outgoing:
            self._candidates.connected(dialed.address)
            if not talk.dialed:
                talk.source = self._candidates.origin(dialed.address) or talk.source
            talk.dialed.append(dialed.address)

    def _twin(self, talk: Conversation) -> Conversation | None:
        """The same peer, connected already. Of another host, it is one that copies a peer id."""
        assert talk.peer.remote is not None
        for other in self._talks.values():
            assert other.peer.remote is not None
            if other.host == talk.host and other.peer.remote.peer_id == talk.peer.remote.peer_id:
                return other
        return None
