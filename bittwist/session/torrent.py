"""One torrent of a session: its state, its collaborators, and what can be asked of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, gatherResults, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from bittwist.address import Address
from bittwist.discovery.announcer import Announcer, TrackerStatus
from bittwist.errors import BitTwistError, DiskFull, FolderGone, MetainfoError, SessionError, StorageError
from bittwist.metainfo.info import Info
from bittwist.metainfo.infohash import InfoHash
from bittwist.metainfo.magnet import Magnet
from bittwist.metainfo.metainfo import Metainfo
from bittwist.peer.connector import Connector
from bittwist.session import observe
from bittwist.session.absence import Absence
from bittwist.session.conditions import Condition
from bittwist.session.content import Content
from bittwist.session.conversation import Conversation
from bittwist.session.dialing import Dialing
from bittwist.session.lifecycle import Life, State, lifecycle
from bittwist.session.metadata import MetadataFetch
from bittwist.session.peers import Limits, Peers
from bittwist.session.settings import SessionSettings
from bittwist.session.state import SavedTorrent
from bittwist.session.statistics import PeerStatistics, Tally, TorrentStatistics
from bittwist.storage.disk import Disk
from bittwist.storage.interfaces import IStorage
from bittwist.swarm.candidates import Candidates
from bittwist.swarm.rate import Rate

ONLY_V2 = "this torrent has only a v2 form, which cannot be traded yet"
LEFT_UNKNOWN = 16384  # told to trackers before the metadata is known: not 0, which would mean a seed


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a session shares with its torrents."""

    clock: IReactorTime
    settings: Callable[[], SessionSettings]
    connector: Connector
    disk: Disk
    random: Random
    peer_id: bytes
    version: str
    limits: Limits
    next_key: Callable[[], int]
    port: Callable[[], int]
    announcer: Callable[[Torrent], Announcer]
    storage: Callable[[Path, Info], IStorage]
    journal: Callable[[InfoHash], Path | None]
    publish: Callable[[observe.Happening], None]
    changed: Callable[[Torrent], None]


class Torrent:
    """Made and owned by a Session; methods that return a Deferred start whether awaited or not."""

    _log = Logger()

    def __init__(self, around: Surroundings, saved: SavedTorrent, *, force: bool = False) -> None:
        self.info_hash = saved.info_hash
        self.save_path = Path(saved.save_path)
        self.added_at = saved.added_at
        self.source: Metainfo | Magnet = saved.source
        self.tally = Tally(downloaded=saved.downloaded, uploaded=saved.uploaded)
        self.life = Life()
        self._around = around
        self._clock = around.clock
        self._force = force
        self._facts = lifecycle(self.life)
        self._content: Content | None = None
        self._wanted = saved.running
        self._recheck = False
        self._exchanging = False
        self._checking: Deferred[None] | None = None
        self._ending: Deferred[Any] = succeed(None)
        self._ticking: IDelayedCall | None = None
        self._retrying: IDelayedCall | None = None
        self._absence: Absence | None = None  # of the folder, while failed for it
        self._download_rate, self._upload_rate = Rate(), Rate()
        self._counted = (saved.downloaded, saved.uploaded)
        self._metadata: Condition[Torrent] = Condition(around.clock)
        self._complete: Condition[Torrent] = Condition(around.clock)
        self._stopped: Condition[Torrent] = Condition(around.clock)
        settings = around.settings()
        self._candidates = Candidates(settings.candidates, around.random)
        self._peers = Peers(around, self._candidates)
        self._dialing = Dialing(
            around.clock, around.connector, self.info_hash, self._candidates, self._peers_wanted
        )
        self._peers.wants_peers = self._dialing.dial
        self._announcer = around.announcer(self)
        if isinstance(saved.source, Metainfo):
            self._know(saved.source.info)

    # What can be asked

    @property
    def metainfo(self) -> Metainfo | None:
        """None until the metadata of a magnet link has come."""
        return self.source if isinstance(self.source, Metainfo) else None

    @property
    def name(self) -> str:
        if isinstance(self.source, Metainfo):
            return self.source.info.name
        return self.source.name or str(self.info_hash)

    def __len__(self) -> int:
        """How many peers it has."""
        return len(self._peers)

    @property
    def tracker_tiers(self) -> tuple[tuple[str, ...], ...]:
        """Tracker URLs, the tiers of BEP 12; each tracker of a magnet link is a tier."""
        source = self.source
        return source.trackers if isinstance(source, Metainfo) else tuple((url,) for url in source.trackers)

    def saved(self) -> SavedTorrent:
        """What is kept of it across a restart."""
        return SavedTorrent(
            self.source,
            str(self.save_path),
            self._wanted,
            self.tally.uploaded,
            self.tally.downloaded,
            self.added_at,
        )

    @property
    def left(self) -> int:
        """Bytes not verified yet, as trackers are told."""
        if self._content is None:
            return LEFT_UNKNOWN
        return self._content.info.total_size - self._content.bytes_done

    def when_metadata(self) -> Deferred[Torrent]:
        """Fires when the info dictionary is known."""
        return self._metadata.wait()

    def when_complete(self) -> Deferred[Torrent]:
        """Fires when every piece is verified and kept; fails when the torrent fails or is removed."""
        return self._complete.wait()

    def when_stopped(self) -> Deferred[Torrent]:
        """Fires when it has stopped and everything is on disk."""
        return self._stopped.wait()

    def statistics(self) -> TorrentStatistics:
        now = self._clock.seconds()
        self._count(now)
        info = self.source.info if isinstance(self.source, Metainfo) else None
        content = self._content
        return TorrentStatistics(
            state=self.life.state,
            reason=self.life.reason,
            name=self.name,
            total=info.total_size if info is not None else 0,
            done=content.bytes_done if content is not None else 0,
            num_pieces=info.geometry.num_pieces if info is not None else 0,
            pieces_done=content.pieces_done if content is not None else 0,
            downloaded=self.tally.downloaded,
            uploaded=self.tally.uploaded,
            wasted=self.tally.wasted,
            failed_pieces=self.tally.failed_pieces,
            download_rate=self._download_rate.per_second(now),
            upload_rate=self._upload_rate.per_second(now),
            peers=len(self._peers),
            seeds=self._peers.seeds,
            known_peers=len(self._candidates),
        )

    def peers(self) -> tuple[PeerStatistics, ...]:
        now = self._clock.seconds()
        return tuple(talk.statistics(now) for talk in self._peers)

    def trackers(self) -> tuple[TrackerStatus, ...]:
        return self._announcer.statuses()

    # What can be asked for

    def start(self) -> None:
        """Check what is there, then download or seed; a failed torrent is tried again, a running one goes on."""
        if self.life.state not in (State.STOPPED, State.FAILED):
            return
        self._wanted = True
        self._complete.reset()
        self._stopped.reset()
        self._tell(self._facts.started_without_metadata if self.metainfo is None else self._facts.started)

    def retry(self) -> None:
        """Try a failed or waiting torrent again, now."""
        if self.life.state is State.FAILED:
            self.start()
        elif self.life.state is State.WAITING:
            self._try_again()

    def stop(self) -> Deferred[None]:
        """Fires when peers are gone, trackers are told and everything is on disk."""
        self._wanted = False
        return self.close()

    def close(self) -> Deferred[None]:
        """Stop, as `stop` does, but run again when the session does."""
        if self.life.state is State.STOPPED and self._ending.called:
            self._around.changed(self)
            self._stopped.meet(self)
        self._tell(self._facts.stopped)
        return self.when_stopped().addCallback(lambda _torrent: None)

    def recheck(self) -> None:
        """Hash every piece anew, whatever is remembered of them: now, or when it is started."""
        self._recheck = True
        if self.life.state in (State.DOWNLOADING, State.SEEDING, State.WAITING):
            self._tell(self._facts.recheck_asked)

    def add_peers(self, addresses: Iterable[Address], source: str = "manual") -> None:
        self._dialing.found(addresses, source)

    def conversation(self) -> Conversation | None:
        """For a connection about to be shaken hands on; None while no peer can be met."""
        meets_peers = self._exchanging or self.life.state is State.METADATA
        return self._peers.conversation() if meets_peers else None

    def pause_peers(self) -> None:
        """The disk is behind: read nothing more for now."""
        self._peers.pause()

    def resume_peers(self) -> None:
        self._peers.resume()

    def share_memory(self, budget: int) -> None:
        """How many bytes the pieces it is fetching may take."""
        if self._content is not None:
            self._content.share_memory(budget)

    def removed(self) -> None:
        """The session has let go of it; whoever waits for it is told."""
        error = SessionError(f"{self.name} was removed")
        self._metadata.miss(error)
        self._complete.miss(error)

    # What the states do

    def _tell(self, fact: Callable[..., None], *reason: str) -> None:
        fact(*reason)
        while self.life.entered:
            state = self.life.entered.pop(0)
            self._around.publish(observe.StateChanged(self.info_hash, state, self.life.reason))
            self._enter(state)
            self._around.changed(self)

    def _enter(self, state: State) -> None:
        if self._retrying is not None:
            self._retrying.cancel()
            self._retrying = None
        if self._absence is not None:
            self._absence.stop()
            self._absence = None
        match state:
            case State.METADATA:
                self._peers.fetch = MetadataFetch(
                    self.info_hash, self._metadata_arrived, self._metadata_guilty, self._metadata_broke
                )
                self._meet_peers()
            case State.CHECKING:
                self._check()
            case State.DOWNLOADING:
                self._exchange()
            case State.SEEDING:
                self._exchange()
                self._complete.meet(self)
            case State.WAITING:
                if self._exchanging and self._content is not None:
                    self._content.downloads.stop()
                self._retrying = self._clock.callLater(self._around.settings().retry_after, self._try_again)
            case State.FAILED:
                self._complete.miss(SessionError(f"{self.name}: {self.life.reason}"))
                self._end()
            case State.STOPPED:
                self._end()

    def _meet_peers(self) -> None:
        self._dialing.start()
        self._announcer.start()
        if self._ticking is None:
            self._ticking = self._clock.callLater(1.0, self._tick)

    def _check(self) -> None:
        self._part()
        self._checking = Deferred.fromCoroutine(self._look_at_disk())
        self._checking.addErrback(self._check_failed)

    async def _look_at_disk(self) -> None:
        await self._ending
        assert isinstance(self.source, Metainfo)
        info = self.source.info
        around = self._around
        self._content = Content(
            around.clock,
            info,
            around.storage(self.save_path, info),
            around.journal(self.info_hash),
            around.disk,
            around.random,
            around.settings(),
            self.storage_failed,
        )
        everything, self._recheck = self._recheck, False
        await self._content.check(force=self._force, everything=everything)
        self._content.exchange(self, lambda: self._peers, self.tally)
        self._checking = None
        complete = self._content.complete
        self._tell(self._facts.checked_complete if complete else self._facts.checked_incomplete)

    def _check_failed(self, failure: Failure) -> None:
        self._checking = None
        if failure.check(CancelledError):
            return
        if not failure.check(BitTwistError):
            self._log.failure("A check failed", failure)
        assert failure.value is not None
        self._suffer(failure.value)

    def _suffer(self, error: BaseException) -> None:
        """A full disk is waited for, a folder that is gone is looked for; all else awaits a retry."""
        self._tell(self._facts.disk_filled if isinstance(error, DiskFull) else self._facts.broke, str(error))
        if isinstance(error, FolderGone) and self.life.state is State.FAILED and self._absence is None:
            around, metainfo = self._around, self.metainfo
            assert metainfo is not None
            place = around.storage(self.save_path, metainfo.info).place
            lane = around.disk.lane()
            self._absence = Absence(
                self._clock, lane, place, error.found, around.settings().retry_after, self.start
            )
            self._absence.start()

    def _exchange(self) -> None:
        assert self._content is not None
        if not self._exchanging:
            self._exchanging = True
            self._peers.exchange(self._content.downloads, self._content.uploads)
        elif self._content.complete:
            self._announcer.completed()
        if self._content.complete:
            self._content.downloads.stop()
        else:
            self._content.downloads.start()
        self._meet_peers()

    def _part(self) -> None:
        """No more blocks; what was written is vouched for before anything is looked at again."""
        self._exchanging = False
        self._peers.close(SessionError("the torrent is checked or stopped"))
        content, self._content = self._content, None
        if content is not None:
            self._ending = content.close().addErrback(self._close_failed)

    def _end(self) -> None:
        if self._ticking is not None:
            self._ticking.cancel()
            self._ticking = None
        if self._checking is not None:
            self._checking.cancel()
        self._dialing.stop()
        self._peers.fetch = None
        self._part()
        ending = gatherResults(
            [self._announcer.stop(), self._peers.when_gone(), self._ending], consumeErrors=True
        )
        ending.addErrback(lambda failure: self._log.failure("A torrent did not stop well", failure))
        self._ending = ending.addCallback(lambda _results: self._ended())

    def _ended(self) -> None:
        if self.life.state is State.STOPPED:
            self._stopped.meet(self)

    def _close_failed(self, failure: Failure) -> None:
        failure.trap(StorageError)
        # The pieces are hashed at the next start instead of vouched for: nothing is lost.
        self._log.warn("{name} was not closed well: {why}", name=self.name, why=failure.getErrorMessage())

    def _try_again(self) -> None:
        """The disk was full: is there room now?"""
        self._retrying = None
        self._tell(self._facts.room_made if self._exchanging else self._facts.started)

    def _tick(self) -> None:
        """The second hand of everything that looks at the clock."""
        self._ticking = self._clock.callLater(1.0, self._tick)
        now = self._clock.seconds()
        self._count(now)
        self._peers.tick(now)
        if self._exchanging and self._content is not None:
            self._content.downloads.tick()
            self._content.uploads.tick()
        self._dialing.dial()

    def _count(self, now: float) -> None:
        """What moved since the last count makes the rates."""
        downloaded, uploaded = self._counted
        self._counted = (self.tally.downloaded, self.tally.uploaded)
        self._download_rate.add(self.tally.downloaded - downloaded, now)
        self._upload_rate.add(self.tally.uploaded - uploaded, now)

    def _peers_wanted(self) -> int:
        return self._around.settings().dial_below - len(self._peers)

    # What its parts tell it

    def _know(self, info: Info) -> None:
        self._peers.know(info.geometry, info.raw)
        self._metadata.meet(self)

    def _metadata_arrived(self, info: Info) -> None:
        assert isinstance(self.source, Magnet)
        if not info.is_v1:
            self._tell(self._facts.broke, ONLY_V2)
            return
        self.source = Metainfo.from_info(info, trackers=self.tracker_tiers, web_seeds=self.source.web_seeds)
        self._around.publish(observe.MetadataReceived(self.info_hash))
        self._know(info)
        self._tell(self._facts.metadata_arrived)

    def _metadata_guilty(self, host: str, reason: str) -> None:
        self._peers.ban(host, reason)

    def _metadata_broke(self, error: MetainfoError) -> None:
        self._tell(self._facts.broke, f"its metadata cannot be used: {error}")

    def piece_verified(self, index: int) -> None:
        self._around.publish(observe.PieceVerified(self.info_hash, index))
        self._peers.announce_piece(index)
        if self._content is not None and self._content.complete:
            self._tell(self._facts.completed)

    def piece_failed(self, index: int) -> None:
        self._around.publish(observe.PieceFailed(self.info_hash, index))

    def storage_failed(self, error: StorageError) -> None:
        self._suffer(error)

    def host_guilty(self, host: str) -> None:
        self._around.publish(observe.PeerBanned(self.info_hash, host))
        self._peers.ban(host, "it sent wrong data")
