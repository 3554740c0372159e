"""Puts settings and a reactor together into the services that twistd runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from twisted.application.service import IService, MultiService, Service
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from bittwist.app.descriptors import within_limits
from bittwist.app.ending import end_because_of
from bittwist.app.lag import LoopLag
from bittwist.app.peer_log import LOOK_EVERY, TrackerLog, called, doing
from bittwist.app.reload import Reload
from bittwist.app.sources import check_source, find, is_file, name_of
from bittwist.app.tracker_tap import TrackerConfig, tracker_service
from bittwist.app.wording import ignored_without_secrets
from bittwist.errors import (
    BitTwistError,
    ConfigError,
    DuplicateTorrent,
    FetchError,
    NetworkError,
    NoSuchTorrent,
)
from bittwist.metainfo.infohash import InfoHash
from bittwist.metainfo.magnet import Magnet
from bittwist.session import Session, SessionSettings
from bittwist.session.observe import Event, Listening, PeerBanned, StateChanged


@dataclass(frozen=True, slots=True)
class PeerConfig:
    """What a peer's file can say: where it listens, where things go, what it shares, its rooms' settings.

    `add` are files, URLs or magnet links, added at each start unless they are there already.
    """

    downloads: Path = Path("downloads")
    add: tuple[str, ...] = ()
    session: SessionSettings = field(default_factory=lambda: SessionSettings(state_dir=Path("state")))

    def anchored(self, folder: Path) -> PeerConfig:
        """The same, with every relative path from `folder` on: twistd leaves the one it was started in."""
        session = self.session
        state = session.state_dir
        lists = tuple(folder / name for name in session.ip_filter.files)
        return PeerConfig(
            folder / self.downloads,
            tuple(str(folder / source) if is_file(source, folder) else source for source in self.add),
            replace(
                session,
                state_dir=None if state is None else folder / state,
                ip_filter=replace(session.ip_filter, files=lists),
            ),
        )


def check_add(sources: Iterable[str], file: str) -> None:
    """ConfigError for the first that cannot be added, as far as that can be told before a port is opened."""
    for source in sources:
        try:
            check_source(source)
        except BitTwistError as error:
            raise ConfigError(file, "add", str(error)) from error


class Peer(Service):
    """A session with what its configuration adds to it, and its news in the log."""

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        config: PeerConfig,
        read: Callable[[], PeerConfig] | None = None,
        deaf: Callable[[NetworkError], None] = lambda error: None,
    ) -> None:
        """`read` reads the configuration again, or raises a ConfigError. `deaf` is told why no port can be
        opened, where that was not known at once."""
        self._read = read
        self._deaf = deaf
        self.session = Session(reactor, within_limits(config.session))
        self._reactor = reactor
        self._config = config
        self._adding: list[Deferred[None]] = []
        self._trackers = TrackerLog()
        self._looking = LoopingCall(self._look_at_trackers)
        self._looking.clock = reactor

    def startService(self) -> None:
        """NetworkError where no port can be opened: what nobody reaches shall not start."""
        super().startService()  # type: ignore[no-untyped-call]  # untyped in Twisted
        self.session.observe(self._told)
        self.session.startService()
        failures: list[Failure] = []
        self.session.when_listening().addErrback(failures.append)
        for failure in failures:  # at once, unless address lists are read first
            failure.raiseException()
        self.session.when_listening().addErrback(self._never_listened)
        self._looking.start(LOOK_EVERY, now=False).addErrback(
            lambda failure: self._log.failure("trackers are not looked at any more", failure)
        )
        self._adding = [Deferred.fromCoroutine(self._add(source)) for source in self._config.add]

    def stopService(self) -> Deferred[None]:
        super().stopService()  # type: ignore[no-untyped-call]
        if self._looking.running:
            self._looking.stop()
        for adding in self._adding:
            adding.cancel()
        return self.session.stopService()

    def reload(self) -> None:
        """Read the settings and the address filters again; settings that cannot be used change nothing."""
        if self._read is not None:
            self._reload_settings(self._read)
        told = self.session.reload_filter()
        told.addErrback(lambda failure: self._log.failure("the address filters were not read", failure))

    def _reload_settings(self, read: Callable[[], PeerConfig]) -> None:
        try:
            config = read()
        except ConfigError as error:
            self._log.error("the settings stay as they were: {why}", why=error)
            return
        self.session.apply(within_limits(config.session))
        self._log.info(
            "[session] is as the file has it now; "
            "ports, network, disk and torrents to add wait for the next start"
        )

    def _never_listened(self, failure: Failure) -> None:
        if self.running:  # else it was stopped before
            assert isinstance(failure.value, NetworkError)  # as `when_listening` promises
            self._deaf(failure.value)

    async def _add(self, source: str) -> None:
        name = name_of(source)
        try:
            found = await find(self._reactor, source, self._config.session.network.bind)
            await self.session.add(found, self._config.downloads.absolute())
        except DuplicateTorrent:
            # It was added at an earlier start, and is remembered.
            return
        except BitTwistError as error:
            why = error.reason if isinstance(error, FetchError) else error  # that names the whole URL
            self._log.error("{name} was not added: {why}", name=name, why=why)
            return
        for part in found.ignored if isinstance(found, Magnet) else ():
            self._log.warn("ignored in {name}: {part}", name=name, part=ignored_without_secrets(part))

    def _told(self, event: Event) -> None:
        match event.happening:
            case Listening(address):
                self._log.info("peers are listened for on {address}", address=address)
            case StateChanged(info_hash, state, reason):
                self._log.info("{torrent} {does}", torrent=self._called(info_hash), does=doing(state, reason))
            case PeerBanned(info_hash, host):
                self._log.info("{host} is banned from {torrent}", host=host, torrent=self._called(info_hash))
            case _:
                # Pieces and the coming and going of torrents would flood a log.
                pass

    def _called(self, info_hash: InfoHash) -> str:
        try:
            return called(self.session.torrent(info_hash))
        except NoSuchTorrent:
            return str(info_hash)  # it was removed meanwhile

    def _look_at_trackers(self) -> None:
        self._trackers.look(self.session.torrents, self._reactor.seconds())


def peer_service(
    reactor: Any, config: PeerConfig, read: Callable[[], PeerConfig] | None = None
) -> MultiService:
    """A peer; nothing opens before it is started. On SIGHUP its settings are read again by `read`."""
    return _together(*_reloaded(reactor, config, read), LoopLag(reactor))


def suite_service(
    reactor: Any,
    tracker: TrackerConfig,
    peer: PeerConfig,
    *,
    tracker_file: Path | None = None,
    read_peer: Callable[[], PeerConfig] | None = None,
) -> MultiService:
    """A tracker and a peer in one process, on one reactor. On SIGHUP both read their settings again."""
    return _together(
        tracker_service(reactor, tracker, file=tracker_file),
        *_reloaded(reactor, peer, read_peer),
        LoopLag(reactor),
    )


def _reloaded(
    reactor: Any, config: PeerConfig, read: Callable[[], PeerConfig] | None
) -> tuple[IService, IService]:
    peer = Peer(reactor, config, read, lambda error: end_because_of(reactor, error))
    return peer, Reload(reactor, peer.reload)


def _together(*services: IService) -> MultiService:
    whole = MultiService()
    for service in services:
        service.setServiceParent(whole)
    return whole
