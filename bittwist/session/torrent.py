"""One torrent of a session: what can be asked of it and for it; how it lives is `course`."""

from __future__ import annotations

from collections.abc import Iterator

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from bittwist.errors import MetainfoError, SessionError, StorageError
from bittwist.metainfo.info import Info
from bittwist.metainfo.magnet import Magnet
from bittwist.metainfo.metainfo import Metainfo
from bittwist.session import observe
from bittwist.session.bounds import Bounds
from bittwist.session.conditions import Condition
from bittwist.session.content import Content
from bittwist.session.course import Course
from bittwist.session.dialing import Dialing
from bittwist.session.fileverbs import FileVerbs
from bittwist.session.finding import Finding
from bittwist.session.lifecycle import State
from bittwist.session.limitverbs import LimitVerbs
from bittwist.session.metadata import MetadataFetch
from bittwist.session.peers import Peers
from bittwist.session.peerverbs import PeerVerbs
from bittwist.session.reuse import Reuse
from bittwist.session.sourceverbs import SourceVerbs
from bittwist.session.state import SavedTorrent
from bittwist.session.statistics import Pace, Tally, TorrentStatistics
from bittwist.session.surroundings import Surroundings
from bittwist.session.wanted import Choose, Wanted
from bittwist.session.webseeds import WebSeeds
from bittwist.storage.interfaces import IStorage
from bittwist.swarm.candidates import Candidates

ONLY_V2 = "this torrent has only a v2 form, which cannot be traded yet"
LEFT_UNKNOWN = 16384  # told to trackers before the metadata is known: not 0, which would mean a seed


class Torrent(FileVerbs, LimitVerbs, PeerVerbs, SourceVerbs):
    """Made and owned by a Session; methods that return a Deferred start whether awaited or not."""

    _log = Logger()

    def __init__(
        self,
        around: Surroundings,
        saved: SavedTorrent,
        *,
        force: bool = False,
        choose: Choose | None = None,
    ) -> None:
        self.info_hash = saved.info_hash
        self.added_at = saved.added_at
        self.source: Metainfo | Magnet = saved.source
        self.tally = Tally(downloaded=saved.downloaded, uploaded=saved.uploaded)
        self.force = force
        self._around = around
        self.running = saved.running  # whether it is to run, if nothing keeps it from that
        self.gone = False  # the session has let go of it
        self._announced_from = (0, 0)  # the tally when trackers were told of a start
        self._pace = Pace(self.tally)
        self._wanted = Wanted(around, self, saved.home, saved.left, saved.wishes, saved.unchosen, choose)
        if isinstance(saved.source, Metainfo):
            self._wanted.choose(saved.source.info)  # which may refuse: before anything is begun
        self._bounds = Bounds(around, saved)
        self._reuse = Reuse(around.clock, self)
        self._metadata: Condition[Torrent] = Condition(around.clock)
        self._complete: Condition[Torrent] = Condition(around.clock)
        self._stopped: Condition[Torrent] = Condition(around.clock)
        self._candidates = Candidates(
            around.settings().candidates,
            around.random,
            lambda address: around.own_hosts.priority(address, around.port()),
        )
        self._peers = Peers(around, self._candidates, around.own_hosts)
        self._peers.superseed(saved.superseeds)
        self._dialing = Dialing(
            around.clock,
            around.connector,
            self.info_hash,
            self._candidates,
            self._peers_wanted,
            around.refusal,
        )
        self._peers.wants_peers = self._dialing.dial
        self._finding = Finding(
            around,
            self,
            self._candidates,
            self._dialing,
            self._peers,
            lambda finding: around.announcer(self, finding),
        )
        self._web_seeds = WebSeeds(around, self._bounds.web_seeds)
        self._web_seeds.add(saved.source.web_seeds)
        if isinstance(saved.source, Metainfo):
            self._web_seeds.add(saved.source.http_seeds, by_piece=True)
        self._course = Course(around, self, self._peers, self._dialing, self._finding, self._web_seeds)
        self._wanted.life = self._course
        if isinstance(saved.source, Metainfo):
            self._know(saved.source.info)

    # What can be asked

    @property
    def state(self) -> State:
        return self._course.state

    @property
    def reason(self) -> str:
        """Why it waits or failed; else empty."""
        return self._course.life.reason

    @property
    def metainfo(self) -> Metainfo | None:
        """None until the metadata of a magnet link has come."""
        return self.source if isinstance(self.source, Metainfo) else None

    @property
    def info(self) -> Info | None:
        return self.source.info if isinstance(self.source, Metainfo) else None

    @property
    def name(self) -> str:
        if isinstance(self.source, Metainfo):
            return self.source.info.name
        return self.source.name or str(self.info_hash)

    @property
    def tracker_tiers(self) -> tuple[tuple[str, ...], ...]:
        """Tracker URLs, the tiers of BEP 12; each tracker of a magnet link is a tier."""
        source = self.source
        return source.trackers if isinstance(source, Metainfo) else tuple((url,) for url in source.trackers)

    @property
    def left(self) -> int:
        """Bytes not verified yet, as trackers are told."""
        return self.info.total_size - self._course.progress.done if self.info is not None else LEFT_UNKNOWN

    @property
    def announced(self) -> tuple[int, int]:
        """Bytes uploaded and downloaded since trackers were told of the start (BEP 3)."""
        uploaded, downloaded = self._announced_from
        return self.tally.uploaded - uploaded, self.tally.downloaded - downloaded

    def when_metadata(self) -> Deferred[Torrent]:
        """Fires when the info dictionary is known; fails when it is removed, or the session stops."""
        return self._metadata.wait()

    def when_complete(self) -> Deferred[Torrent]:
        """Fires when all that is wanted is verified and kept.

        Fails when the torrent fails or is removed, or the session stops.
        """
        return self._complete.wait()

    def when_stopped(self) -> Deferred[Torrent]:
        """Fires when it has stopped and everything is on disk."""
        return self._stopped.wait()

    def statistics(self) -> TorrentStatistics:
        now = self._around.clock.seconds()
        self._pace.count(now)
        info, progress = self.info, self._course.progress
        return TorrentStatistics(
            state=self.state,
            reason=self.reason,
            name=self.name,
            total=info.total_size if info is not None else 0,
            done=progress.done,
            num_pieces=info.geometry.num_pieces if info is not None else 0,
            pieces_done=progress.pieces,
            downloaded=self.tally.downloaded,
            uploaded=self.tally.uploaded,
            wasted=self.tally.wasted,
            failed_pieces=self.tally.failed_pieces,
            download_rate=self._pace.download_rate.per_second(now),
            upload_rate=self._pace.upload_rate.per_second(now),
            peers=len(self._peers),
            seeds=self._peers.seeds,
            known_peers=len(self._candidates),
            web_seeds=self._web_seeds.working,
            skipped=progress.skipped,
        )

    def saved(self) -> SavedTorrent:
        """What is kept of it across a restart."""
        tally = self.tally
        return SavedTorrent(
            self.source,
            str(self.save_path),
            self.running,
            tally.uploaded,
            tally.downloaded,
            self.added_at,
            self.limits,
            self.home.names,
            self._wanted.left,
            self.wishes,
            self._bounds.own_goals,
            self._bounds.seeded,
            self._peers.superseeds,
            self.unchosen,
        )

    def save(self) -> Deferred[None]:
        """Have what has changed remembered; fires when it is, or could not be, which is logged."""
        return self._around.changed(self)

    # What can be asked for; each verb does nothing in a state that it does not fit

    def start(self) -> None:
        """Check what is there, then download or seed; once more if it failed.

        Before the session knows where it listens, as soon as it does. SessionError once the torrent is
        removed, or the session stopped.
        """
        if self._course.finished is not None:
            raise SessionError(str(self._course.finished))
        self.running = True
        self._course.start()

    def retry(self) -> None:
        """Try a failed or waiting torrent again, now."""
        self._course.retry()

    def stop(self) -> Deferred[None]:
        """Fires when peers are gone, trackers are told and everything is on disk."""
        self.running = False
        self._around.changed(self)
        return self._course.stop()

    def close(self) -> Deferred[None]:
        """Stop for good, as the session does; another one will run it again. Whoever waits for it is told."""
        return self._finish(SessionError("the session is stopped"))

    def remove(self) -> Deferred[None]:
        """Stop for good; for the session. Whoever waits for the torrent is told."""
        self.gone = True
        return Deferred.fromCoroutine(self._remove())

    async def _remove(self) -> None:
        await self._finish(SessionError(f"{self.name} was removed"))
        try:
            await self._wanted.forget()
        except StorageError as error:
            self._log.warn("What was kept of skipped files stays: {why}", why=error)

    def _finish(self, why: SessionError) -> Deferred[None]:
        self._metadata.miss(why)
        self._complete.miss(why)
        finished = self._course.finish(why)
        self._bounds.close()
        return finished.addCallback(lambda _: self._stopped.meet(self))

    def recheck(self) -> None:
        """Hash every piece anew, whatever is remembered of them: now, or when it is started."""
        self._course.recheck()

    def reuse_similar(self) -> Deferred[int]:
        """Copy what torrents of this session have already that are hinted to be similar (BEP 38).

        Fires with how many pieces that were; 0 in any state but downloading. The others are only read.
        """
        return self._reuse.all()

    # What the session tells it

    def share_memory(self, budget: int) -> None:
        """How many bytes the pieces it is fetching may take."""
        if self._course.content is not None:
            self._course.content.share_memory(budget)

    # What similar torrents are asked for

    @property
    def fetching(self) -> Content | None:
        return self._course.content if self.state is State.DOWNLOADING else None

    @property
    def lent(self) -> Content | None:
        """What can be read of it by others."""
        return self._course.content if self._course.exchanging else None

    def lenders(self) -> list[Content]:
        others = (other.lent for other in self._around.similar(self))
        return [content for content in others if content is not None]

    # What the course of its life tells it

    @property
    def unsettled(self) -> bool:
        return bool(self._wanted.left)

    def bringing(self, storage: IStorage) -> Iterator[int]:
        return self._wanted.bringing(storage)

    def settled(self) -> None:
        self._wanted.settled()

    def entered(self, state: State) -> None:
        self._wanted.entered(state, self.reason)
        self._bounds.seeds_no_more()
        self._reuse.stop()
        self._around.publish(observe.StateChanged(self.info_hash, state, self.reason))
        match state:
            case State.METADATA | State.CHECKING:
                self._stopped.reset()
                self._complete.reset()
                self._announced_from = (self.tally.uploaded, self.tally.downloaded)
            case State.DOWNLOADING:
                self._bind()
                self._complete.reset()
                if self._around.settings().reuse_similar:
                    self._reuse.begin()  # others have it on this very disk
            case State.SEEDING:
                self._bind()
                self._complete.meet(self)
            case State.FAILED:
                self._complete.miss(SessionError(f"{self.name}: {self.reason}"))
            case State.STOPPED:
                self._course.over().addCallback(self._has_stopped)
            case _:
                pass
        self._around.changed(self)

    def _bind(self) -> None:
        content = self._course.content
        assert content is not None
        self._bounds.bind(content)
        self._bounds.pace(content)

    def tick(self, now: float) -> None:
        if self.fetching is not None:
            self._bounds.pace(self.fetching)
        self._pace.count(now)
        if self.state is State.SEEDING:
            reached = self._bounds.seeds(now, uploaded=self.tally.uploaded, done=self._course.progress.done)
            if reached is not None:
                self._around.publish(observe.GoalReached(self.info_hash, reached))
                self.stop()

    def metadata_fetch(self) -> MetadataFetch:
        return MetadataFetch(self.info_hash, self._metadata_arrived, self._peers.ban, self._metadata_broke)

    def _has_stopped(self, _result: None) -> None:
        if self.state is State.STOPPED:
            self._stopped.meet(self)

    def _peers_wanted(self) -> int:
        return self._around.settings().dial_below - len(self._peers)

    # What its parts tell it

    def _know(self, info: Info) -> None:
        self._peers.know(info.geometry, info.raw)
        self._finding.learned()
        self._metadata.meet(self)

    def _metadata_arrived(self, info: Info) -> None:
        assert isinstance(self.source, Magnet)
        if not info.is_v1:
            self._course.broke(ONLY_V2)
            return
        named = self.source.select_only
        self.source = Metainfo.from_info(info, trackers=self.tracker_tiers, web_seeds=self.source.web_seeds)
        self._around.publish(observe.MetadataReceived(self.info_hash))
        self._know(info)
        unchosen = self._wanted.learned(info, named)
        if unchosen:
            self._course.broke(unchosen)
        else:
            self._course.metadata_arrived()

    def _metadata_broke(self, error: MetainfoError) -> None:
        self._course.broke(f"its metadata cannot be used: {error}")

    def piece_verified(self, index: int) -> None:
        self._around.publish(observe.PieceVerified(self.info_hash, index))
        self._peers.announce_piece(index)
        content = self._course.content
        if content is not None and content.complete:
            self._course.completed()

    def piece_failed(self, index: int) -> None:
        self._around.publish(observe.PieceFailed(self.info_hash, index))

    def storage_failed(self, error: StorageError) -> None:
        self._course.suffer(error)

    def host_guilty(self, host: str) -> None:
        self._around.publish(observe.PeerBanned(self.info_hash, host))
        if not self._web_seeds.ban(host):
            self._peers.ban(host, "it sent wrong data")
