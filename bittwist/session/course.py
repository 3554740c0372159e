"""What each state of a torrent's life does: the effects of `lifecycle`, begun and ended in order."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator, Iterator
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from bittwist.errors import BitTwistError, DiskFull, FolderGone, SessionError, StorageError
from bittwist.metainfo.info import Info
from bittwist.session.absence import Absence
from bittwist.session.content import Content, Progress
from bittwist.session.dialing import Dialing
from bittwist.session.finding import Finding
from bittwist.session.lifecycle import Life, State, lifecycle
from bittwist.session.peers import Peers
from bittwist.session.subject import Subject
from bittwist.session.surroundings import Surroundings
from bittwist.session.webseeds import WebSeeds
from bittwist.session.winding import Winding
from bittwist.storage.workers import Lane
from bittwist.swarm.priorities import Wishes


class Course:
    """Owns a torrent's state, its content while there is one, and every timer of its life.

    What takes time to begin (metadata, a check) waits for all that is still being wound down, and is
    given up when another state is entered.
    """

    _log = Logger()

    def __init__(
        self,
        around: Surroundings,
        subject: Subject,
        peers: Peers,
        dialing: Dialing,
        finding: Finding,
        web_seeds: WebSeeds,
    ) -> None:
        self.life = Life()
        self.content: Content | None = None
        self.exchanging = False  # the content is checked, and blocks may come and go
        self.finished: SessionError | None = None  # why nothing begins any more
        self._last = Progress()  # of the last content there was
        self._around = around
        self._clock = around.clock
        self._subject = subject
        self._peers = peers
        self._dialing = dialing
        self._finding = finding
        self._web_seeds = web_seeds
        self._facts = lifecycle(self.life)
        self._winding = Winding()
        self._beginning: Deferred[None] | None = None
        self._ticking: IDelayedCall | None = None
        self._retrying: IDelayedCall | None = None
        self._absence: Absence | None = None  # of the folder, while failed for it
        self._everything = False  # the next check is to hash all
        self._thorough = False  # the check under way does

    # What can be asked and told

    @property
    def state(self) -> State:
        return self.life.state

    @property
    def meets_peers(self) -> bool:
        return self.exchanging or self.life.state is State.METADATA

    @property
    def progress(self) -> Progress:
        """Of the content there is or of the last there was."""
        return self._last if self.content is None else self.content.progress

    def hold(self) -> Callable[[], None]:
        """Let no check and no move begin until the function returned is called."""
        released: Deferred[None] = Deferred()

        async def held() -> None:
            await released

        self._winding.down(held())
        return lambda: released.callback(None)

    def over(self) -> Deferred[None]:
        """Fires when nothing is being wound down."""
        return self._winding.over()

    def start(self) -> None:
        """From stopped or failed, while the session runs; does nothing otherwise."""
        if (
            self.finished is None
            and self._around.running()
            and self.life.state in (State.STOPPED, State.FAILED)
        ):
            if self._subject.info is None:
                self._tell(self._facts.started_without_metadata)
            else:
                self._tell(self._facts.move_asked if self._subject.unsettled else self._facts.started)

    def stop(self) -> Deferred[None]:
        """Fires when all that was begun has ended."""
        self._tell(self._facts.stopped)
        return self._winding.over()

    def finish(self, why: SessionError) -> Deferred[None]:
        """Stop for good."""
        self.finished = why
        return self.stop()

    def retry(self) -> None:
        """A full disk, or what made it fail, may be mended: try now."""
        if self.life.state is State.WAITING:
            self._tell(self._facts.room_made if self.exchanging else self._facts.started)
        elif self.life.state is State.FAILED:
            self.start()

    def recheck(self) -> bool:
        """Hash every piece anew, now or at the next start; whether that is now."""
        self._everything = True
        now = self.life.state in (State.DOWNLOADING, State.SEEDING, State.WAITING)
        if self.life.state is State.CHECKING:
            now = self.content is not None and not self._thorough  # else it is about to, or does
        if now:
            self._tell(self._facts.recheck_asked)
        return now

    def move(self) -> None:
        """Files are to be brought from elsewhere, and the metadata is known. SessionError once finished."""
        if self.finished is not None:
            raise SessionError(str(self.finished))
        self._tell(self._facts.move_asked)

    def wish(self, wishes: Wishes) -> None:
        """Other files are wanted than before."""
        content = self.content
        if content is None:
            return
        laid_out = content.wish(wishes)
        self._review(content)
        laid_out.addCallbacks(lambda _: self._review(content), lambda failure: self._unmade(content, failure))
        laid_out.addErrback(lambda failure: self._log.failure("What is wanted could not be changed", failure))

    def _review(self, content: Content) -> None:
        """Whether all that is wanted is here may have changed."""
        if self.exchanging and content is self.content:
            self._tell(self._facts.completed if content.complete else self._facts.more_wanted)

    def _unmade(self, content: Content, failure: Failure) -> None:
        failure.trap(StorageError)
        if content is self.content:
            assert failure.value is not None
            self.suffer(failure.value)

    def metadata_arrived(self) -> None:
        self._tell(self._facts.metadata_arrived)

    def completed(self) -> None:
        self._tell(self._facts.completed)

    def broke(self, reason: str) -> None:
        self._tell(self._facts.broke, reason)

    def suffer(self, error: BaseException) -> None:
        """A full disk is waited for, a folder that is gone is looked for; all else awaits a retry."""
        self._tell(self._facts.disk_filled if isinstance(error, DiskFull) else self._facts.broke, str(error))
        if isinstance(error, FolderGone) and self.life.state is State.FAILED and self._absence is None:
            self._look_for_folder(error)

    def _lost(self, error: StorageError) -> None:
        """What was written did not reach the disk: nothing is given or fetched before it is checked again."""
        self.suffer(error)
        if self.life.state is State.WAITING:
            self._part()

    def _tell(self, fact: Callable[..., None], *reason: str) -> None:
        fact(*reason)
        while self.life.entered:
            state = self.life.entered.pop(0)
            self._leave()
            self._subject.entered(state)
            self._enter(state)

    # States

    def _leave(self) -> None:
        """Whatever the state before was waiting for, this one is not."""
        if self._retrying is not None and self._retrying.active():
            self._retrying.cancel()
        self._retrying = None
        if self._absence is not None:
            self._absence.stop()
            self._absence = None
        if self._beginning is not None:
            self._beginning.cancel()
            self._beginning = None

    def _enter(self, state: State) -> None:
        match state:
            case State.METADATA:
                self._begin(self._seek_metadata())
            case State.CHECKING:
                self._dialing.stop()
                self._part(staying=True)
                self._begin(self._check())
            case State.MOVING:
                self._dialing.stop()
                self._part(staying=True)
                self._begin(self._move())
            case State.DOWNLOADING | State.SEEDING:
                self._exchange()
            case State.WAITING:
                if self.exchanging and self.content is not None:
                    self.content.downloads.stop()
                    self._web_seeds.stop()
                self._retrying = self._clock.callLater(self._around.settings().retry_after, self.retry)
            case State.FAILED | State.STOPPED:
                self._end()

    def _begin(self, beginning: Coroutine[Deferred[Any], Any, None]) -> None:
        self._beginning = Deferred.fromCoroutine(beginning)
        self._beginning.addErrback(self._did_not_begin)

    def _did_not_begin(self, failure: Failure) -> None:
        if failure.check(CancelledError):
            return
        if not failure.check(BitTwistError):
            self._log.failure("A torrent could not begin", failure)
        assert failure.value is not None
        self.suffer(failure.value)

    async def _seek_metadata(self) -> None:
        await self._winding.over()
        self._peers.fetch = self._subject.metadata_fetch()
        self._meet_peers()

    async def _check(self) -> None:
        await self._winding.over()
        info, around = self._subject.info, self._around
        assert info is not None
        if self._subject.unchosen:
            raise SessionError(self._subject.unchosen)
        await self._bring(info)
        self.content = content = Content(
            around.clock,
            info,
            around.storage(self._subject.home, info),
            around.journal(info.info_hash),
            around.disk,
            around.random,
            around.settings(),
            self._lost,
            self._subject.wishes,
        )
        self._thorough = self._everything
        await content.check(force=self._subject.force, everything=self._thorough)
        self._everything = False
        content.exchange(self._subject, lambda: self._peers, self._subject.tally)
        self._beginning = None
        self._tell(self._facts.checked_complete if content.complete else self._facts.checked_incomplete)

    async def _move(self) -> None:
        await self._winding.over()
        info = self._subject.info
        assert info is not None
        await self._bring(info)
        self._beginning = None
        goes_on = self._subject.running and self._around.running()
        self._tell(self._facts.moved if goes_on else self._facts.stopped)

    async def _bring(self, info: Info) -> None:
        if not self._subject.unsettled:
            return
        lane = self._around.disk.lane()
        steps = self._subject.bringing(self._around.storage(self._subject.home, info))
        try:
            while await lane.submit(lambda: next(steps, None)) is not None:
                pass
        except BaseException:
            self._winding.down(self._give_up(steps, lane))
            raise
        self._subject.settled()

    async def _give_up(self, steps: Iterator[int], lane: Lane) -> None:
        """What was not finished is undone; it may be at a step still."""
        await lane.idle()
        if isinstance(steps, Generator):
            await lane.submit(steps.close)

    def _exchange(self) -> None:
        content = self.content
        assert content is not None
        if not self.exchanging:
            self.exchanging = True
            self._peers.meet()
            self._peers.exchange(content.downloads, content.uploads)
        elif content.whole:
            self._finding.completed()
        if content.complete:
            content.downloads.stop()
            self._web_seeds.stop()
        else:
            content.downloads.start()
            self._web_seeds.start(content.info, content.downloads)
        self._peers.wants_changed()
        self._meet_peers()
        if not content.laid_out:
            self.wish(self._subject.wishes)

    def _meet_peers(self) -> None:
        self._peers.meet()
        self._dialing.start()
        self._finding.start()
        if self._ticking is None:
            self._ticking = self._clock.callLater(1.0, self._tick)

    def _part(self, *, staying: bool = False) -> None:
        """No more blocks: what was written is vouched for before anything is looked at again.

        With `staying`, peers go on being peers meanwhile.
        """
        content, self.content = self.content, None
        if self.exchanging:
            assert content is not None
            self.exchanging = False
            content.downloads.stop()
            self._web_seeds.stop()
            if staying:
                self._peers.suspend()
            else:
                self._peers.close(SessionError("the torrent is stopped, or its files are gone"))
            content.uploads.stop()
        if content is not None:
            self._last = content.progress
            self._winding.down(self._close(content))

    def _end(self) -> None:
        if self._ticking is not None:
            self._ticking.cancel()
            self._ticking = None
        self._dialing.stop()
        self._peers.fetch = None
        self._part()
        self._peers.close(SessionError("the torrent is stopped"))
        self._winding.down(self._wind_down())

    async def _close(self, content: Content) -> None:
        try:
            await content.close()
        except StorageError as error:
            # The pieces are hashed at the next start instead of vouched for: nothing is lost.
            self._log.warn("A torrent was not closed well: {why}", why=error)

    async def _wind_down(self) -> None:
        await gatherResults([self._finding.stop(), self._peers.when_gone()], consumeErrors=True)

    def _look_for_folder(self, error: FolderGone) -> None:
        info, around = self._subject.info, self._around
        assert info is not None
        place = around.storage(self._subject.home, info).place
        every = around.settings().retry_after
        self._absence = Absence(self._clock, around.disk.lane(), place, error.found, every, self.start)
        self._absence.start()

    def _tick(self) -> None:
        """The second hand of everything that looks at the clock."""
        self._ticking = self._clock.callLater(1.0, self._tick)
        now = self._clock.seconds()
        self._subject.tick(now)
        self._peers.tick(now)
        self._web_seeds.tick(now)
        if self.exchanging and self.content is not None:
            self.content.downloads.tick()
            self.content.uploads.tick()
        self._dialing.dial()
