"""One transfer for the command line: a session with one torrent, reported until it is over."""

from __future__ import annotations

import os
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure

from bittwist.app.choices import Choices
from bittwist.app.claim import Claim
from bittwist.app.giving import checked, seeding_session, whole
from bittwist.app.named_peers import NamedPeers
from bittwist.app.port import Port, opened
from bittwist.app.report import Report
from bittwist.app.sources import find
from bittwist.app.torrentfile import naming
from bittwist.app.watch import Watch
from bittwist.errors import BitTwistError, MetainfoError, SessionError, StorageError
from bittwist.metainfo.files import safe_paths
from bittwist.metainfo.infohash import InfoHash
from bittwist.metainfo.magnet import Magnet
from bittwist.metainfo.metainfo import Metainfo
from bittwist.net.policy import Network
from bittwist.session import Session, Torrent
from bittwist.session.lifecycle import State
from bittwist.session.torrent import ONLY_V2
from bittwist.session.torrents import ONLY_V2_LINK
from bittwist.storage.locate import locate
from bittwist.storage.store import NOT_OURS

STOPPING = "Stopping: trackers are told (Ctrl-C again ends it at once)"
LOOK_EVERY = 0.48  # seconds between progress reports: twice a second, though each comes a little late
STATE_FOLDER = ".bittwist"  # in the download folder, until the download is complete


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
    choices: Choices,
    force: bool,
    report: Report,
) -> int:
    """Fetch into `folder`, then seed until the goal, if there is one; the exit code."""
    try:
        check_writable(folder)
        wanted = await find(reactor, source, port.bind)
        if isinstance(wanted, Metainfo):
            check_tradable(wanted, source)
            check_choice(choices, wanted, report)
        else:
            if wanted.info_hash.v1 is None:
                raise MetainfoError(ONLY_V2_LINK)
            for part in wanted.ignored:
                report.ignored(part)
        claim = _claim(folder, wanted.info.info_hash if isinstance(wanted, Metainfo) else wanted.info_hash)
    except BitTwistError as error:
        report.failed(str(error))
        report.close()
        return 1
    settings = choices.settings(port.settings(folder / STATE_FOLDER))
    session = Session(reactor, settings, restore=False)

    async def transfer(torrent: Torrent, watch: Watch) -> None:
        try:
            await completion(reactor, torrent, watch)
        except SessionError as error:
            if str(error).endswith(NOT_OURS):
                raise SessionError(f"{error} (--force writes over it)") from error
            raise
        report.progress(torrent.statistics())
        watch.brought(torrent)
        report.complete(str(folder / root(torrent)))
        if goal is not None:
            await seeding(reactor, torrent, goal, watch)
        if not torrent.statistics().skipped:
            await session.remove(torrent.info_hash)
        # Else what is known of the files stays: it vouches for them when more is fetched.

    with claim:
        return await _with(reactor, session, wanted, folder, peers, choices, force, report, transfer)


def _claim(folder: Path, info_hash: InfoHash) -> Claim:
    """The download, for this process; StorageError where another is at it."""
    taken = StorageError(str(folder), "this torrent is being downloaded into it already")
    return Claim(folder / STATE_FOLDER / f"{info_hash.short.hex()}.lock", taken)


async def seed(
    reactor: Any,
    metainfo: Metainfo,
    path: Path,
    port: Port,
    peers: Sequence[str],
    choices: Choices,
    report: Report,
) -> int:
    """Seed the files at `path`, or in it, until cancelled; the exit code."""
    try:
        located = locate(metainfo.info, path)
        whole(metainfo.info, located)
    except BitTwistError as error:
        report.failed(str(error))
        report.close()
        return 1
    session = seeding_session(reactor, choices.settings(port.settings()), located)

    async def transfer(torrent: Torrent, watch: Watch) -> None:
        torrent.set_superseeding(choices.superseed)
        await checked(reactor, torrent, path)
        report.complete(str(path))
        await seeding(reactor, torrent, Goal(), watch)

    return await _with(reactor, session, metainfo, located.root, peers, choices, True, report, transfer)


async def _with(
    reactor: Any,
    session: Session,
    source: Metainfo | Magnet,
    folder: Path,
    peers: Sequence[str],
    choices: Choices,
    force: bool,
    report: Report,
    transfer: Callable[[Torrent, Watch], Coroutine[Deferred[Any], Any, None]],
) -> int:
    """Start the session, add the torrent, do the transfer and stop the session, whatever happens."""
    named = NamedPeers(report.unreachable)
    linked: tuple[str, ...] = ()
    if isinstance(source, Magnet):
        # Dialed from here as those of --peer are: the session would only log which of them are not found.
        linked, source = source.peers, replace(source, peers=())
    session.startService()
    try:
        report.listening(await opened(session))
        torrent = await session.add(
            source, folder, force=force, choose=choices.choose if choices.files else None
        )
        if choices.sequential:
            torrent.set_sequential(True)
        network = Network(reactor, session.settings.network)
        named.dial(network, torrent, linked, "magnet")
        named.dial(network, torrent, peers)
        await transfer(torrent, Watch(report, named))
        return 0
    except CancelledError:
        report.say(STOPPING)
        raise
    except BitTwistError as error:
        report.failed(str(error))
        return 1
    finally:
        named.stop()
        try:
            report.close()
        finally:
            await session.stopService()


async def completion(reactor: Any, torrent: Torrent, watch: Watch) -> None:
    """Report until the torrent is complete; SessionError, with the reason, when it fails."""
    complete = torrent.when_complete()
    broken: list[Failure] = []  # what the report failed with

    def broke(failure: Failure) -> None:
        broken.append(failure)
        complete.cancel()

    looking = LoopingCall(lambda: watch.look(torrent, reactor.seconds()))
    looking.clock = reactor
    looking.start(LOOK_EVERY).addErrback(broke)
    try:
        await complete
    except CancelledError:
        if not broken:
            raise
    except SessionError as error:
        raise SessionError(torrent.reason or str(error)) from error
    finally:
        if looking.running:
            looking.stop()
    for failure in broken:
        failure.raiseException()


async def seeding(reactor: Any, torrent: Torrent, goal: Goal, watch: Watch) -> None:
    """Report what is given until the goal is reached; SessionError when the torrent fails."""
    began = reactor.seconds()

    def look() -> None:
        if goal.reached(torrent, reactor.seconds() - began):
            looking.stop()
            return
        if torrent.state is State.FAILED:
            raise SessionError(torrent.reason)
        watch.look(torrent, reactor.seconds())

    looking = LoopingCall(look)
    looking.clock = reactor
    try:
        await looking.start(LOOK_EVERY)
    finally:
        if looking.running:
            looking.stop()


def root(torrent: Torrent) -> str:
    """The name of the file or folder a torrent's data has on disk."""
    metainfo = torrent.metainfo
    if metainfo is None or not metainfo.info.files:
        raise MetainfoError("the metadata is not known")
    return safe_paths(metainfo.info)[0].parts[0]


def check_tradable(metainfo: Metainfo, source: str) -> None:
    """MetainfoError, naming the source, where it can be told already that it cannot be traded."""
    with naming(source):
        if not metainfo.info.is_v1:
            raise MetainfoError(ONLY_V2)
        safe_paths(metainfo.info)


def check_choice(choices: Choices, metainfo: Metainfo, report: Report) -> None:
    """click.UsageError if the user wants no file that is in the torrent."""
    try:
        choices.choose(metainfo.info)
    except SessionError as error:
        report.close()
        raise click.UsageError(f"--files: {error}") from error


def check_writable(folder: Path) -> None:
    """StorageError, naming what is in the way, unless files can be made in `folder`, or it in another."""
    there = next(path for path in (folder, *folder.parents) if os.path.lexists(path))
    if not there.is_dir():
        raise StorageError(str(there), "is not a folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise StorageError(str(there), "is a folder that cannot be written to")
