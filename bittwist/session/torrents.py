"""The torrents of a session: taken and let go of, remembered, and given their part of what all share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from enum import Enum

from twisted.internet.defer import Deferred, gatherResults, succeed
from twisted.logger import Logger

from bittwist.errors import (
    BitTwistError,
    DuplicateTorrent,
    MagnetError,
    MetainfoError,
    NoSuchTorrent,
    SessionError,
)
from bittwist.metainfo.infohash import InfoHash
from bittwist.metainfo.magnet import Magnet
from bittwist.metainfo.metainfo import Metainfo
from bittwist.metainfo.similar import related
from bittwist.session.lifecycle import State
from bittwist.session.observe import Happening, TorrentAdded, TorrentRemoved
from bittwist.session.saving import Saving
from bittwist.session.settings import SessionSettings
from bittwist.session.state import SavedTorrent, StateFolder
from bittwist.session.throttling import Throttling
from bittwist.session.torrent import ONLY_V2, Torrent
from bittwist.session.wanted import Choose
from bittwist.storage.disk import Disk

ONLY_V2_LINK = (
    "this magnet link has only a v2 hash (btmh), which is not enough yet: "
    "take one that has the v1 hash too (btih), or the torrent file"
)
Make = Callable[[SavedTorrent, bool, Choose | None], Torrent]  # with `force` and `choose` of `Session.add`


class Phase(Enum):
    """Of a session's one life."""

    NEW = "not started"
    STARTING = "about to listen"
    RUNNING = "running"
    STOPPED = "stopped"


class Torrents:
    """Owns the torrents by their (short) info hashes, in the order they were added, and the session's phase.

    None runs before `run`, and none begins after `end`.
    """

    _log = Logger()

    def __init__(
        self,
        settings: Callable[[], SessionSettings],
        make: Make,
        folder: StateFolder | None,
        disk: Disk,
        throttling: Throttling,
        dial: Callable[[Torrent, Iterable[str], str], None],
        publish: Callable[[Happening], None],
    ) -> None:
        """`dial` has a torrent dial each HOST:PORT, named by that kind of source."""
        self.phase = Phase.NEW
        self._settings = settings
        self._make = make
        self._folder = folder
        self._saving = Saving(folder, disk.lane()) if folder is not None else None
        self._disk = disk
        self._throttling = throttling
        self._dial = dial
        self._publish = publish
        self._torrents: dict[bytes, Torrent] = {}

    def __iter__(self) -> Iterator[Torrent]:
        """All that there are now, whatever comes or goes meanwhile."""
        return iter(tuple(self._torrents.values()))

    def get(self, short: bytes) -> Torrent | None:
        return self._torrents.get(short)

    def of(self, info_hash: InfoHash) -> Torrent:
        """NoSuchTorrent where there is none."""
        try:
            return self._torrents[info_hash.short]
        except KeyError:
            raise NoSuchTorrent(str(info_hash)) from None

    # With the session's life

    def open(self, *, restore: bool) -> None:
        """The session starts: take what was remembered of one before, if asked to."""
        self.phase = Phase.STARTING
        if restore:
            self._restore()

    def _restore(self) -> None:
        """What cannot be is logged."""
        saved, troubles = self._folder.load() if self._folder is not None else ([], [])
        for trouble in troubles:
            self._log.error("{trouble}", trouble=trouble)
        for torrent in saved:
            try:
                self._take(torrent)
            except DuplicateTorrent:
                # Added anew before the start: what was said last holds.
                continue
            except BitTwistError as error:
                # Its file stays, for a version that can trade it.
                self._log.error("{torrent} is left out: {why}", torrent=torrent.info_hash, why=error)

    def run(self) -> None:
        """The port is decided, so that every announce can carry it: begin with all of them."""
        self.phase = Phase.RUNNING
        for torrent in self:
            self._begin(torrent).addErrback(
                lambda failure: self._log.failure("A torrent did not start well", failure)
            )

    def end(self) -> None:
        """The session stops: take no more, and begin with none."""
        self.phase = Phase.STOPPED

    def close(self) -> Deferred[None]:
        """Fires when all have stopped, with trackers told and peers gone; after `end`."""
        closing = [torrent.close() for torrent in self]
        return gatherResults(closing, consumeErrors=True).addCallback(lambda _: None)

    def written(self) -> Deferred[None]:
        """Fires when nothing waits to be remembered."""
        return self._saving.idle() if self._saving is not None else succeed(None)

    # Taken, and let go of

    def add(self, saved: SavedTorrent, force: bool, choose: Choose | None) -> Deferred[Torrent]:
        """As `Session.add` promises; what is refused is raised."""
        torrent = self._take(saved, force, choose)
        added: Deferred[Torrent] = Deferred()
        if self.phase is Phase.RUNNING:
            self._begin(torrent).addCallbacks(lambda _: added.callback(torrent), added.errback)
        else:
            added.callback(torrent)
        return added

    def _take(self, saved: SavedTorrent, force: bool = False, choose: Choose | None = None) -> Torrent:
        if self.phase is Phase.STOPPED:
            raise SessionError("the session is stopped")
        short = saved.info_hash.short
        if short in self._torrents:
            raise DuplicateTorrent(str(saved.info_hash))
        if isinstance(saved.source, Metainfo) and not saved.source.info.is_v1:
            raise MetainfoError(ONLY_V2)
        if isinstance(saved.source, Magnet) and saved.source.info_hash.v1 is None:
            raise MetainfoError(ONLY_V2_LINK)
        if isinstance(saved.source, Magnet) and saved.source.choice_fault is not None and choose is None:
            raise MagnetError(f"the link wants only some files, but {saved.source.choice_fault}")
        torrent = self._make(saved, force, choose)
        self._torrents[short] = torrent
        if self._disk.behind:
            torrent.pause_peers()
        self._publish(TorrentAdded(torrent.info_hash))
        return torrent

    def _begin(self, torrent: Torrent) -> Deferred[None]:
        """Have it run once it is remembered: what anyone has seen run is there after a crash."""
        remembered = self._saving.save(torrent.saved()) if self._saving is not None else succeed(None)
        return remembered.addCallback(lambda _: self._remembered(torrent))

    def _remembered(self, torrent: Torrent) -> None:
        if self.phase is not Phase.RUNNING or torrent.gone:
            return  # stopped or removed meanwhile
        if isinstance(torrent.source, Magnet):
            self._dial(torrent, torrent.source.peers, "magnet")
        if torrent.running:
            torrent.start()

    def remove(self, info_hash: InfoHash) -> Deferred[None]:
        """Stop a torrent and forget it; its files stay."""
        return Deferred.fromCoroutine(self._remove(info_hash))

    async def _remove(self, info_hash: InfoHash) -> None:
        torrent = self.of(info_hash)
        await torrent.remove()
        if self._torrents.get(info_hash.short) is not torrent:
            return  # asked twice
        del self._torrents[info_hash.short]
        self._throttling.forget(info_hash.short)
        self._publish(TorrentRemoved(torrent.info_hash))
        if self._saving is not None:
            await self._saving.forget(torrent.info_hash)

    # What they share

    def changed(self, torrent: Torrent) -> Deferred[None]:
        """Its state, or what is to be remembered of it; fires when that is, or could not be."""
        self.share_memory()
        if self._saving is None or self.phase is Phase.NEW:
            return succeed(None)  # it is saved when the session begins with it
        if torrent.info_hash.short not in self._torrents:
            return succeed(None)
        return self._saving.save(torrent.saved())

    def share_memory(self) -> None:
        """Pieces in flight of all torrents share one budget."""
        fetching = [torrent for torrent in self if torrent.state is State.DOWNLOADING]
        for torrent in fetching:
            torrent.share_memory(self._settings().disk.memory_budget // len(fetching))

    def pause(self) -> None:
        """The disk is behind."""
        for torrent in self:
            torrent.pause_peers()

    def resume(self) -> None:
        """The disk has caught up."""
        for torrent in self:
            torrent.resume_peers()

    def room_for_peer(self, torrent_peers: int) -> bool:
        """Whether a torrent that has so many may have one more."""
        if torrent_peers >= self._settings().max_peers_per_torrent:
            return False
        return sum(len(torrent) for torrent in self) < self._settings().max_peers

    def similar(self, torrent: Torrent) -> list[Torrent]:
        """The others that are hinted to share files with it (BEP 38)."""
        ours = torrent.metainfo
        if ours is None:
            return []
        others = [(other, other.metainfo) for other in self if other is not torrent]
        return [other for other, theirs in others if theirs is not None and related(ours, theirs)]
