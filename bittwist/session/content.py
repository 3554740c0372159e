"""The pieces of one torrent, once its metadata is known: their store, and who fetches and gives them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from random import Random

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from bittwist.errors import StorageError
from bittwist.metainfo.info import Info
from bittwist.session.downloads import Downloads, DownloadsOwner
from bittwist.session.fastpieces import FastPieces
from bittwist.session.settings import SessionSettings
from bittwist.session.statistics import Tally
from bittwist.session.uploads import Taker, Uploads
from bittwist.storage.assembler import Assembler
from bittwist.storage.disk import Disk
from bittwist.storage.interfaces import IStorage
from bittwist.storage.resume import Journal
from bittwist.swarm.blame import Blame
from bittwist.swarm.choker import Choker
from bittwist.swarm.picker import Picker


class Content:
    """Made when a check begins, closed when the torrent stops; `downloads` and `uploads` follow the check."""

    downloads: Downloads
    uploads: Uploads

    def __init__(
        self,
        clock: IReactorTime,
        info: Info,
        storage: IStorage,
        journal_path: Path | None,
        disk: Disk,
        random: Random,
        settings: SessionSettings,
        failed: Callable[[StorageError], None],
    ) -> None:
        self._clock = clock
        self._random = random
        self._settings = settings
        self.info = info
        journal = Journal(journal_path) if journal_path is not None else None
        self._store = disk.open(storage, info, journal, failed=failed)
        self.checked = 0  # bytes looked at so far
        self._picker = Picker(info.geometry, random, max_active=1)
        self.share_memory(settings.disk.memory_budget)

    def check(self, *, force: bool, everything: bool) -> Deferred[None]:
        """Lay the files out and find out which pieces are here; StorageError where that cannot be.

        Files that are there already and that neither the journal nor any piece vouches for are
        refused unless `force` is set. With `everything`, all pieces are hashed.
        """
        return Deferred.fromCoroutine(self._check(force, everything))

    async def _check(self, force: bool, everything: bool) -> None:
        recovered = await self._store.start(check=everything, force=force, progress=self._looked_at)
        self._picker.restore(recovered.have)

    def _looked_at(self, done: int, total: int) -> None:
        self.checked = done

    def share_memory(self, budget: int) -> None:
        """How many bytes pieces in flight may take; one piece may be in flight whatever its size."""
        self._picker.max_active = max(1, budget // self.info.piece_length)

    def exchange(self, owner: DownloadsOwner, takers: Callable[[], Iterable[Taker]], tally: Tally) -> None:
        """Make `downloads` and `uploads`; after the check."""
        self.downloads = Downloads(
            self._clock,
            self.info.geometry,
            self._picker,
            Assembler(self.info.geometry),
            self._store,
            Blame(),
            tally,
            owner,
        )
        self.uploads = Uploads(
            self._clock,
            Choker(self._settings.choker, self._random),
            self._store,
            self._picker.have,
            tally,
            takers,
            lambda: self._picker.have.complete,
            owner.storage_failed,
            FastPieces(
                self.info.info_hash.short,
                self.info.geometry,
                self._picker.have,
                lambda: self._settings.allowed_fast,
            ),
        )

    @property
    def pieces_done(self) -> int:
        return self._picker.have.count

    @property
    def complete(self) -> bool:
        return self._picker.have.complete

    @property
    def bytes_done(self) -> int:
        """The size of the verified pieces."""
        have, geometry = self._picker.have, self.info.geometry
        done = have.count * geometry.piece_length
        last = geometry.num_pieces - 1
        if last >= 0 and last in have:
            done -= geometry.piece_length - geometry.piece_size(last)
        return done

    def close(self) -> Deferred[None]:
        """Everything written is synced and vouched for when it fires."""
        return self._store.close()
