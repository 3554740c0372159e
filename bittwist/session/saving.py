"""The saved states of a session on their way to the disk, in a disk thread."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from bittwist.errors import StorageError
from bittwist.metainfo.infohash import InfoHash
from bittwist.session.state import SavedTorrent, StateFolder
from bittwist.storage.workers import Lane


@dataclass(slots=True)
class _Waiting:
    torrent: SavedTorrent
    told: list[Deferred[None]] = field(default_factory=list)

    def over(self) -> None:
        for done in self.told:
            done.callback(None)


class Saving:
    """Has one thing done to the folder at a time; of each torrent only the newest state is written.

    Owns what waits, and the folder once it is loaded. What is to be forgotten goes before what is to be
    written: a state that waited then is not written at all, so what is, was asked for afterwards.
    """

    _log = Logger()

    def __init__(self, folder: StateFolder, lane: Lane) -> None:
        self._folder = folder
        self._lane = lane
        self._states: dict[bytes, _Waiting] = {}  # by short info hash
        self._forgotten: deque[tuple[InfoHash, Deferred[None]]] = deque()
        self._at_work = False

    def save(self, torrent: SavedTorrent) -> Deferred[None]:
        """Write this, in the place of what waits to be written of the torrent.

        Fires when this or something newer is written, or could not be, which is logged.
        """
        waiting = self._states.setdefault(torrent.info_hash.short, _Waiting(torrent))
        waiting.torrent = torrent
        done: Deferred[None] = Deferred()
        waiting.told.append(done)
        self._wake()
        return done

    def forget(self, info_hash: InfoHash) -> Deferred[None]:
        """Fires when nothing of the torrent is left in the folder; StorageError where something stays."""
        waiting = self._states.pop(info_hash.short, None)
        done: Deferred[None] = Deferred()
        self._forgotten.append((info_hash, done))
        self._wake()
        if waiting is not None:
            waiting.over()
        return done

    def idle(self) -> Deferred[None]:
        """Fires when nothing waits any more."""
        return self._lane.idle()

    def _wake(self) -> None:
        if not self._at_work:
            self._at_work = True
            Deferred.fromCoroutine(self._work())

    async def _work(self) -> None:
        while self._forgotten or self._states:
            if self._forgotten:
                await self._forget(*self._forgotten.popleft())
            else:
                await self._save(self._states.pop(next(iter(self._states))))
        self._at_work = False

    async def _save(self, waiting: _Waiting) -> None:
        try:
            await self._lane.submit(lambda: self._folder.save(waiting.torrent))
        except StorageError as error:
            # The file before is still whole; the next change of state tries again.
            self._log.error("A torrent's state was not saved: {why}", why=error)
        except Exception:
            # A bug with one state must not keep the others from being written.
            self._log.failure("A torrent's state was not saved")
        waiting.over()

    async def _forget(self, info_hash: InfoHash, done: Deferred[None]) -> None:
        try:
            await self._lane.submit(lambda: self._folder.forget(info_hash))
        except Exception:
            done.errback()  # whatever it is, it is the asker's
        else:
            done.callback(None)
