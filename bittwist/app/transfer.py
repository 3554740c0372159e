"""One transfer for the command line: a session with one torrent, reported until it is over."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import LoopingCall, deferLater

from bittwist.app.descriptors import within_limits
from bittwist.app.report import Report
from bittwist.app.sources import find
from bittwist.errors import BitTwistError, MetainfoError, StorageError
from bittwist.metainfo.files import safe_paths
from bittwist.metainfo.info import Info
from bittwist.metainfo.magnet import Magnet
from bittwist.metainfo.metainfo import Metainfo
from bittwist.net.policy import NetworkSettings
from bittwist.session import Session, SessionSettings, Torrent
from bittwist.session.lifecycle import State
from bittwist.storage.files import FileStorage
from bittwist.storage.locate import Located, locate
from bittwist.storage.openfiles import OpenFiles

LOOK_EVERY = 0.5  # seconds between progress reports
STATE_FOLDER = ".bittwist"  # in the download folder, until the download is complete


@dataclass(frozen=True, slots=True)
class Port:
    """Where peers reach us: `bind` is also the address dialed from, `number` None for the usual ports."""

    bind: str | None
    number: int | None

    def settings(self, state_dir: Path | None = None) -> SessionSettings:
        usual = SessionSettings(
            listen_host=self.bind or "0.0.0.0", network=NetworkSettings(bind=self.bind), state_dir=state_dir
        )
        if self.number is not None:
            usual = replace(usual, ports=(self.number,), any_port=False)
        return within_limits(usual)


@dataclass(frozen=True, slots=True)
class Goal:
    """When a complete download has seeded enough; with neither, never."""

    ratio: float | None = None
    seconds: float | None = None

    def reached(self, torrent: Torrent, seeding_for: float) -> bool:
        if self.seconds is not None:
            return seeding_for >= self.seconds
        return self.ratio is not None and torrent.statistics().ratio >= self.ratio


async def download(
    reactor: Any,
    source: str,
    folder: Path,
    port: Port,
    peers: Sequence[str],
    goal: Goal | None,
    force: bool,
    report: Report,
) -> int:
    """Fetch into `folder`, then seed until the goal, if there is one; the exit code."""
    try:
        wanted = await find(reactor, source, port.bind)
    except BitTwistError as error:
        report.failed(str(error))
        report.close()
        return 1
    session = Session(reactor, port.settings(folder / STATE_FOLDER), restore=False)

    async def transfer(torrent: Torrent) -> None:
        await completion(reactor, torrent, report)
        report.progress(torrent.statistics())
        report.complete(str(folder / root(torrent)))
        if goal is not None:
            await seeding(reactor, torrent, goal, report)
        await session.remove(torrent.info_hash)

    return await _with(reactor, session, wanted, folder, peers, force, report, transfer)


async def seed(
    reactor: Any, metainfo: Metainfo, path: Path, port: Port, peers: Sequence[str], report: Report
) -> int:
    """Seed the files at `path`, or in it, until cancelled; the exit code."""
    located = locate(metainfo.info, path)
    try:
        whole(metainfo.info, located)
    except StorageError as error:
        report.failed(str(error))
        report.close()
        return 1
    session = seeding_session(reactor, port, located)

    async def transfer(torrent: Torrent) -> None:
        await checked(reactor, torrent)
        report.complete(str(path))
        await seeding(reactor, torrent, Goal(), report)

    return await _with(reactor, session, metainfo, located.root, peers, False, report, transfer)


def seeding_session(reactor: Any, port: Port, located: Located) -> Session:
    """A session that keeps nothing, for files that have any names."""
    settings = port.settings()
    open_files = OpenFiles(settings.disk.open_files)
    return Session(
        reactor,
        settings,
        storage=lambda _path, info: FileStorage(
            located.root, info, paths=located.paths, open_files=open_files
        ),
    )


async def _with(
    reactor: Any,
    session: Session,
    source: Metainfo | Magnet,
    folder: Path,
    peers: Sequence[str],
    force: bool,
    report: Report,
    transfer: Callable[[Torrent], Coroutine[Deferred[Any], Any, None]],
) -> int:
    """Start the session, add the torrent, do the transfer and stop the session, whatever happens."""
    session.startService()
    try:
        report.listening(await session.when_listening())
        torrent = await session.add(source, folder, force=force)
        session.add_peers(torrent, peers)
        await transfer(torrent)
        return 0
    except CancelledError:
        raise
    except BitTwistError as error:
        report.failed(str(error))
        return 1
    finally:
        report.close()
        await session.stopService()


async def completion(reactor: Any, torrent: Torrent, report: Report) -> None:
    """Report progress until the torrent is complete; raises what made it fail."""
    waiting = ""

    def look() -> None:
        nonlocal waiting
        now = torrent.statistics()
        report.progress(now)
        if now.state is State.WAITING and now.reason != waiting:
            report.waiting(now.reason)
        waiting = now.reason

    looking = LoopingCall(look)
    looking.clock = reactor
    stopped = looking.start(LOOK_EVERY)
    try:
        await torrent.when_complete()
    finally:
        looking.stop()
        await stopped


async def seeding(reactor: Any, torrent: Torrent, goal: Goal, report: Report) -> None:
    """Report what is given until the goal is reached; StorageError when the torrent fails."""
    began = reactor.seconds()
    while not goal.reached(torrent, reactor.seconds() - began):
        now = torrent.statistics()
        if now.state is State.FAILED:
            raise StorageError(now.name, now.reason)
        report.progress(now)
        await deferLater(reactor, LOOK_EVERY)


async def checked(reactor: Any, torrent: Torrent) -> None:
    """Until the check is over; StorageError unless everything is there."""
    while torrent.life.state is State.CHECKING:
        await deferLater(reactor, 0.05)
    if torrent.life.state is not State.SEEDING:
        now = torrent.statistics()
        why = now.reason or f"only {now.pieces_done} of {now.num_pieces} pieces are there"
        raise StorageError(now.name, why)


def root(torrent: Torrent) -> str:
    """The name of the file or folder a torrent's data has on disk."""
    metainfo = torrent.metainfo
    if metainfo is None or not metainfo.info.files:
        raise MetainfoError("the metadata is not known")
    return safe_paths(metainfo.info)[0].parts[0]


def whole(info: Info, located: Located) -> None:
    """StorageError, naming the first file that is missing or has another size, unless all are there."""
    for entry, below in zip(info.files, located.paths):
        path = located.root / below
        if not (entry.is_pad or entry.is_symlink or _fits(path, entry.size)):
            raise StorageError(str(path), f"is not there with {entry.size} bytes")


def _fits(path: Path, size: int) -> bool:
    try:
        return path.is_file() and path.stat().st_size == size
    except OSError:
        return False
