"""What observers of a session are told: frozen events with a running number."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from bittwist.address import Address
from bittwist.metainfo.infohash import InfoHash
from bittwist.session.lifecycle import State
from bittwist.session.rules import GoalKind


@dataclass(frozen=True, slots=True)
class Listening:
    """Peers can reach this session at `address`."""

    address: Address


@dataclass(frozen=True, slots=True)
class TorrentAdded:
    info_hash: InfoHash


@dataclass(frozen=True, slots=True)
class TorrentRemoved:
    info_hash: InfoHash


@dataclass(frozen=True, slots=True)
class StateChanged:
    """`reason` is empty but for `waiting` and `failed`."""

    info_hash: InfoHash
    state: State
    reason: str


@dataclass(frozen=True, slots=True)
class MetadataReceived:
    """The info dictionary of a magnet link is here and matches its hash."""

    info_hash: InfoHash


@dataclass(frozen=True, slots=True)
class PieceVerified:
    info_hash: InfoHash
    index: int


@dataclass(frozen=True, slots=True)
class PieceFailed:
    """A piece did not have its hash; it will be fetched again."""

    info_hash: InfoHash
    index: int


@dataclass(frozen=True, slots=True)
class PeerBanned:
    """Proved to have sent wrong data."""

    info_hash: InfoHash
    host: str


@dataclass(frozen=True, slots=True)
class PeersFound:
    """A source was the first to name `count` addresses; `detail` is the URL of a tracker."""

    info_hash: InfoHash
    source: str
    detail: str
    count: int


@dataclass(frozen=True, slots=True)
class GoalReached:
    """It has seeded enough, and stops."""

    info_hash: InfoHash
    goal: GoalKind


Happening = (
    Listening
    | TorrentAdded
    | TorrentRemoved
    | StateChanged
    | MetadataReceived
    | PieceVerified
    | PieceFailed
    | PeerBanned
    | GoalReached
    | PeersFound
)


@dataclass(frozen=True, slots=True)
class Event:
    """`number` rises by one with each event of a session."""

    number: int
    happening: Happening


Observer = Callable[[Event], None]


class Observers:
    """Tells each observer each event, in order, from the reactor's next turn: never inside our stack."""

    _log = Logger()

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._observers: list[Observer] = []
        self._number = 0
        self._waiting: list[Event] = []

    def add(self, observer: Observer) -> Callable[[], None]:
        """Begin telling `observer`; the function returned ends it."""
        self._observers.append(observer)

        def stop() -> None:
            if observer in self._observers:
                self._observers.remove(observer)

        return stop

    def publish(self, happening: Happening) -> None:
        self._number += 1
        if not self._observers:
            return
        if not self._waiting:
            self._clock.callLater(0, self._tell)
        self._waiting.append(Event(self._number, happening))

    def _tell(self) -> None:
        events, self._waiting = self._waiting, []
        for event in events:
            for observer in tuple(self._observers):
                try:
                    observer(event)
                except Exception:
                    # An observer is the user's code: its bug must not stop the others' news.
                    self._log.failure("An observer of the session failed")
