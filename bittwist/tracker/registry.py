"""Which torrents a tracker serves: registered by their .torrent or hash, or blocked by hash.

A hybrid torrent has two info hashes and is one record; `Registry.swarm_of` says which of them its swarm is
kept under. Where a hybrid of the settings is registered by one of its hashes, that counts for both. All
workers share one file (tracker.ledgerfile); a torrent that another worker changed is known here after the
next look at it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from twisted.internet.defer import Deferred, fail

from bittwist.announce.values import AnnounceRequest
from bittwist.errors import AccessError, AlreadyThere, NotThere, TrackerFailure
from bittwist.metainfo.infohash import InfoHash
from bittwist.metainfo.metainfo import Metainfo
from bittwist.tracker.hybrids import Hybrids
from bittwist.tracker.interfaces import AnnounceHook, Arrival
from bittwist.tracker.ledger import Ledger
from bittwist.tracker.ledgerfile import Codec
from bittwist.tracker.threads import FilesReactor, in_thread
from bittwist.tracker.torrents import (
    MAX_NAME,
    Torrent,
    TorrentChange,
    TorrentsSum,
    What,
    decode_change,
    encode_change,
)

MAX_SIZE = 1 << 62  # bytes: no torrent is larger


class Registry(AnnounceHook):
    """The torrents of a tracker. Refuses the blocked ones and, if `only_registered`, all that are not in it.

    `hybrids` are those among them, and whatever a tracker's settings declare.
    Changes fire when they are on disk: with what is then true, AccessError where it cannot be done, and
    StorageError where the file cannot be written.
    """

    def __init__(
        self, reactor: FilesReactor, path: Path, wall: Callable[[], float], *, only_registered: bool = False
    ) -> None:
        self._reactor = reactor
        self._ledger = Ledger(reactor, path, Codec(encode_change, decode_change), TorrentsSum)
        self._wall = wall
        self._only_registered = only_registered
        self.hybrids = Hybrids(self)

    def __len__(self) -> int:
        return len(self._ledger.state)

    def announcing(self, request: AnnounceRequest, arrival: Arrival) -> None:
        self._check(request.info_hash)

    def scraping(self, info_hashes: Sequence[bytes], arrival: Arrival) -> None:
        for info_hash in info_hashes:
            self._check(info_hash)

    def get(self, info_hash: bytes) -> Torrent | None:
        """The torrent with this hash: v1, or v2 whole or truncated."""
        return self._ledger.state.find(info_hash[:20])

    def list(self, after: bytes | None = None, count: int = 100) -> list[Torrent]:
        """At most `count` torrents (and records.MAX_PAGE) by `info_hash`, those next after `after`."""
        return self._ledger.state.torrents.page(after, count)

    def swarm_of(self, info_hash: bytes) -> bytes:
        """The hash that the peers of this one are kept under: another where it is a hybrid's v2 hash."""
        return self._ledger.state.second.get(info_hash, info_hash)

    def upload(self, torrent: bytes) -> Deferred[Torrent]:
        """Register what a .torrent describes, a longer name cut; MetainfoError where it is none."""
        return Deferred.fromCoroutine(self._upload(torrent))

    def add(self, info_hash: InfoHash, name: str = "", size: int = 0) -> Deferred[Torrent]:
        """Register by hash; AccessError where name or size cannot be those of a torrent."""
        if len(name) > MAX_NAME:
            return fail(AccessError(f"name: must have at most {MAX_NAME} characters"))
        if not 0 <= size <= MAX_SIZE:
            return fail(AccessError("size: must be 0 to 2**62 bytes"))
        return Deferred.fromCoroutine(
            self._add(Torrent(info_hash.v1, info_hash.v2, name, size, self._wall()))
        )

    def block(self, info_hash: bytes) -> Deferred[Torrent]:
        """Serve it no more, registered or not."""
        return Deferred.fromCoroutine(self._block(info_hash[:20]))

    def unblock(self, info_hash: bytes) -> Deferred[None]:
        return Deferred.fromCoroutine(self._change(What.UNBLOCKED, info_hash[:20]))

    def remove(self, info_hash: bytes) -> Deferred[None]:
        """Register and block it no more."""
        return Deferred.fromCoroutine(self._change(What.REMOVED, info_hash[:20]))

    def load(self) -> None:
        """Read the file now, in this thread; StorageError where that fails."""
        self._ledger.load()

    def reload(self) -> Deferred[None]:
        """Take in what other processes have written."""
        return self._ledger.reload()

    def idle(self) -> Deferred[None]:
        """Fires when no change is on its way to the disk."""
        return self._ledger.idle()

    def _check(self, info_hash: bytes) -> None:
        found = [torrent for torrent in map(self.get, self.hybrids.names(info_hash)) if torrent is not None]
        if any(torrent.blocked for torrent in found):
            raise TrackerFailure("info_hash: this torrent is blocked here", math.inf)
        if self._only_registered and not found:
            raise TrackerFailure("info_hash: this torrent is not registered here")

    async def _upload(self, content: bytes) -> Torrent:
        # In a thread: hundreds of milliseconds for the largest.
        metainfo = await in_thread(self._reactor, Metainfo.parse, content)
        info = metainfo.info
        hashes = info.info_hash
        return await self._add(
            Torrent(hashes.v1, hashes.v2, info.name[:MAX_NAME], info.total_size, self._wall())
        )

    async def _add(self, torrent: Torrent) -> Torrent:
        for info_hash in torrent.hashes:
            held = self.get(info_hash)
            if held is not None and held.registered:
                raise AlreadyThere(f"torrent {info_hash.hex()} is registered already")
        await self._ledger.write([TorrentChange(What.ADDED, torrent)])
        added = self.get(torrent.info_hash)
        if added is None or added.hashes != torrent.hashes:  # another process was first, or removed it
            raise AlreadyThere(f"torrent {torrent.info_hash.hex()} was changed at the same time")
        return added

    async def _block(self, info_hash: bytes) -> Torrent:
        torrent = Torrent(info_hash, None, added_at=self._wall())
        await self._ledger.write([TorrentChange(What.BLOCKED, torrent)])
        return self.get(info_hash) or replace(torrent, registered=False)

    async def _change(self, what: What, info_hash: bytes) -> None:
        if self.get(info_hash) is None:
            raise NotThere(f"there is no torrent {info_hash.hex()}")
        await self._ledger.write([TorrentChange(what, Torrent(info_hash, None))])
