"""The conductor: torrents, the port peers reach us on, and what they share."""

from __future__ import annotations

import itertools
import secrets
import time
from collections.abc import Callable, Iterable
from enum import Enum
from pathlib import Path
from random import Random
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, gatherResults, maybeDeferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from bittwist import __version__
from bittwist.address import Address, split_host_port
from bittwist.discovery.lsd import LocalDiscovery
from bittwist.discovery.trackers import TrackerClients
from bittwist.errors import (
    BitTwistError,
    DuplicateTorrent,
    MetainfoError,
    NetworkError,
    NoSuchTorrent,
    SessionError,
)
from bittwist.metainfo import peerid
from bittwist.metainfo.info import Info
from bittwist.metainfo.infohash import InfoHash
from bittwist.metainfo.magnet import Magnet
from bittwist.metainfo.metainfo import Metainfo
from bittwist.metainfo.similar import related
from bittwist.net.addressfilter import AddressFilter, FilterStatus
from bittwist.net.http import HttpClient
from bittwist.net.policy import Network
from bittwist.peer.connector import Connector
from bittwist.peer.listener import EndpointListener, Listener
from bittwist.peer.protocol import PeerFactory
from bittwist.session import observe
from bittwist.session.announcing import Announcing
from bittwist.session.conditions import Condition
from bittwist.session.conversation import Conversation
from bittwist.session.home import Home
from bittwist.session.lifecycle import State
from bittwist.session.saving import Saving
from bittwist.session.settings import SessionSettings
from bittwist.session.state import SavedTorrent, StateFolder
from bittwist.session.surroundings import Surroundings
from bittwist.session.throttling import Throttling
from bittwist.session.torrent import ONLY_V2, Choose, Torrent
from bittwist.storage.disk import Disk
from bittwist.storage.files import FileStorage
from bittwist.storage.interfaces import IStorage
from bittwist.storage.openfiles import OpenFiles
from bittwist.swarm.own_hosts import OwnHosts
from bittwist.swarm.slots import Slots

ONLY_V2_LINK = (
    "this magnet link has only a v2 hash (btmh), which is not enough yet: "
    "take one that has the v1 hash too (btih), or the torrent file"
)


class _Phase(Enum):
    """Of a session's one life."""

    NEW = "not started"
    STARTING = "about to listen"
    RUNNING = "running"
    STOPPED = "stopped"


class Session(Service):
    """A BitTorrent peer to embed: an IService that does nothing before `startService`.

    It lives once: after `stopService` make another, which finds in `state_dir` what this one left.

    `storage` makes the IStorage of a torrent from its save path and info (files, unless told
    otherwise); `wall` tells the date, `random` decides between equals, `token` makes random bytes.
    With `restore` off, what `state_dir` remembers is used for torrents added again, no others.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Any,  # the several reactor interfaces have no common type
        settings: SessionSettings | None = None,
        *,
        storage: Callable[[Path, Info], IStorage] | None = None,
        restore: bool = True,
        wall: Callable[[], float] = time.time,
        random: Random | None = None,
        token: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self.settings = settings if settings is not None else SessionSettings()
        self.peer_id = peerid.generate(token)
        self._reactor = reactor
        self._restore = restore
        self._wall = wall
        self._random = random if random is not None else Random(token(16))
        self._torrents: dict[bytes, Torrent] = {}
        self._observers = observe.Observers(reactor)
        self._listening: Condition[Address] = Condition(reactor)
        self._phase = _Phase.NEW
        self._starting: Deferred[None] = succeed(None)
        self._port = 0
        self._state = StateFolder(self.settings.state_dir) if self.settings.state_dir else None
        self._filter = AddressFilter(reactor, self.settings.ip_filter, self._filter_changed)
        self._network = Network(reactor, self.settings.network, self._filter.refusal)
        self._fetch = HttpClient(reactor, self._network, self.settings.http)
        self._trackers = TrackerClients(reactor, self._network, self._fetch, token)
        self._throttling = Throttling(reactor, wall)
        self._factory = PeerFactory(
            reactor,
            self.peer_id,
            self._lookup,
            settings=self.settings.peer,
            allowances=self._throttling.connection,
            refusal=self._filter.refusal,
        )
        self._connector = Connector(
            reactor, self._network, self._factory, half_open_limit=self.settings.half_open
        )
        self._listener = self._make_listener()
        self._open_files = OpenFiles(self.settings.disk.open_files)
        self._disk = Disk(reactor, self.settings.disk)
        self._disk.watch(self._pause, self._resume)
        self._saving = Saving(self._state, self._disk.lane()) if self._state else None
        self._local = LocalDiscovery(
            reactor,
            self._network,
            self.settings.lsd,
            lambda: self._port,
            token(8).hex(),
            self._found_locally,
        )
        announcing = Announcing(
            reactor,
            self._trackers.client,
            self._random,
            lambda: self.settings,
            lambda: self._port,
            self.peer_id,
            token(4),
        )
        keys = itertools.count(1)
        self._around = Surroundings(
            clock=reactor,
            settings=lambda: self.settings,
            connector=self._connector,
            http=self._fetch,
            disk=self._disk,
            random=self._random,
            peer_id=self.peer_id,
            version=f"bittwist {__version__}",
            limits=self,
            throttling=self._throttling,
            slots=Slots(lambda: self.settings.limits.upload_slots),
            refusal=self._filter.refusal,
            next_key=lambda: next(keys),
            port=lambda: self._port,
            announcer=announcing.announcer,
            local=self._local,
            own_hosts=OwnHosts(self.settings.external_address),
            storage=self._files if storage is None else lambda home, info: storage(home.folder, info),
            journal=lambda info_hash: self._state.journal(info_hash) if self._state else None,
            similar=self._similar,
            publish=self._observers.publish,
            changed=self._changed,
        )

    # The service

    def startService(self) -> None:
        """Take up what `state_dir` remembers, listen, and then begin with every torrent.

        SessionError when it was started before: what a session stops cannot be started again.
        """
        if self._phase is not _Phase.NEW:
            raise SessionError("a session is started only once: make another")
        super().startService()  # type: ignore[no-untyped-call]  # Twisted's Service has no annotations
        self._phase = _Phase.STARTING
        self._throttling.start(self.settings.limits)
        if self._state is not None and self._restore:
            self._load(self._state)
        listening = Deferred.fromCoroutine(self._listen())
        self._starting = listening.addCallbacks(self._listens, self._deaf)
        self._starting.addErrback(lambda failure: self._log.failure("A session did not start well", failure))

    async def _listen(self) -> Address:
        await self._filter.start()
        return await self._listener.start()

    def stopService(self) -> Deferred[None]:
        """Fires when trackers are told, peers are gone and the disk has everything."""
        super().stopService()  # type: ignore[no-untyped-call]
        self._phase = _Phase.STOPPED
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        self._starting.cancel()
        self._throttling.stop()
        self._filter.stop()
        await self._listener.stop()
        self._connector.stop()
        await gatherResults([torrent.close() for torrent in self._torrents.values()], consumeErrors=True)
        await self._trackers.close()
        await self._local.stop()
        await self._disk.stop()
        if self._saving is not None:
            await self._saving.idle()

    def when_listening(self) -> Deferred[Address]:
        """Fires with the address peers are listened for on; NetworkError if there is none.

        A session that nobody can reach still dials peers, and so downloads. It announces port 0, as it has
        no other: trackers that list only whom others can dial, as ours does, answer that with an error, and
        peers then come from magnet links and `add_peers`.
        """
        return self._listening.wait()

    def apply(self, settings: SessionSettings) -> None:
        """Swap the settings: limits hold at once, times and policies for what begins after this.

        Ports, network and disk are for the next start.
        """
        self.settings = settings
        self._throttling.apply(settings.limits)
        self._filter.apply(settings.ip_filter)
        self._share_memory()

    def reload_filter(self) -> Deferred[None]:
        """Look at the address lists now; fires when those that have changed are read, well or not."""
        return self._filter.reload()

    @property
    def filter_status(self) -> FilterStatus:
        """What the address lists filter, and what is wrong with them."""
        return self._filter.status

    # Torrents

    @property
    def torrents(self) -> tuple[Torrent, ...]:
        """In the order they were added."""
        return tuple(self._torrents.values())

    def torrent(self, info_hash: InfoHash) -> Torrent:
        try:
            return self._torrents[info_hash.short]
        except KeyError:
            raise NoSuchTorrent(str(info_hash)) from None

    def add(
        self,
        source: Metainfo | Magnet,
        save_path: Path | str,
        *,
        force: bool = False,
        start: bool = True,
        choose: Choose | None = None,
    ) -> Deferred[Torrent]:
        """Add a torrent whose files are, or will be, below `save_path`.

        Fires when `state_dir` remembers it and it runs, or at once before the session knows where it
        listens: then it runs as soon as that is known. `force` lets it write over files that nothing vouches
        for. `choose` is asked for the priorities of files as soon as these are known, before any is made; a
        magnet link that names files (BEP 53) wants no others, unless it says so. Fails with DuplicateTorrent,
        with MetainfoError for what cannot be traded (only a v2 form, or a magnet link with only a v2 hash),
        and with SessionError once the session is stopped.
        """
        saved = SavedTorrent(source, str(save_path), start, 0, 0, self._wall())
        return maybeDeferred(self._add, saved, force, choose)

    def remove(self, info_hash: InfoHash) -> Deferred[None]:
        """Stop a torrent and forget it; its files stay."""
        return Deferred.fromCoroutine(self._remove(info_hash))

    def observe(self, observer: observe.Observer) -> Callable[[], None]:
        """Tell `observer` every Event from now on; the function returned ends it."""
        return self._observers.add(observer)

    def _add(self, saved: SavedTorrent, force: bool, choose: Choose | None) -> Deferred[Torrent]:
        torrent = self._take(saved, force, choose)
        added: Deferred[Torrent] = Deferred()
        if self._phase is _Phase.RUNNING:
            self._begin(torrent).addCallbacks(lambda _: added.callback(torrent), added.errback)
        else:
            added.callback(torrent)
        return added

    def _take(self, saved: SavedTorrent, force: bool = False, choose: Choose | None = None) -> Torrent:
        if self._phase is _Phase.STOPPED:
            raise SessionError("the session is stopped")
        short = saved.info_hash.short
        if short in self._torrents:
            raise DuplicateTorrent(str(saved.info_hash))
        if isinstance(saved.source, Metainfo) and not saved.source.info.is_v1:
            raise MetainfoError(ONLY_V2)
        if isinstance(saved.source, Magnet) and saved.source.info_hash.v1 is None:
            raise MetainfoError(ONLY_V2_LINK)
        torrent = Torrent(self._around, saved, force=force, choose=choose)
        self._torrents[short] = torrent
        if self._disk.behind:
            torrent.pause_peers()
        self._observers.publish(observe.TorrentAdded(torrent.info_hash))
        return torrent

    def _run(self, host: str) -> None:
        """The port is decided, so that every announce can carry it: begin. Peers reach us at `host`."""
        self._phase = _Phase.RUNNING
        self._local.start(host)
        for torrent in self.torrents:
            self._begin(torrent).addErrback(
                lambda failure: self._log.failure("A torrent did not start well", failure)
            )

    def _begin(self, torrent: Torrent) -> Deferred[None]:
        """Have it run once it is remembered: what anyone has seen run is there after a crash."""
        remembered = self._saving.save(torrent.saved()) if self._saving is not None else succeed(None)
        return remembered.addCallback(lambda _: self._remembered(torrent))

    def _remembered(self, torrent: Torrent) -> None:
        if self._phase is not _Phase.RUNNING or torrent.gone:
            return  # stopped or removed meanwhile
        if isinstance(torrent.source, Magnet):
            self.add_peers(torrent, torrent.source.peers, "magnet")
        if torrent.saved().running:
            torrent.start()

    async def _remove(self, info_hash: InfoHash) -> None:
        torrent = self.torrent(info_hash)
        await torrent.remove()
        if self._torrents.get(info_hash.short) is not torrent:
            return  # asked twice
        del self._torrents[info_hash.short]
        self._throttling.forget(info_hash.short)
        self._observers.publish(observe.TorrentRemoved(torrent.info_hash))
        if self._saving is not None:
            await self._saving.forget(torrent.info_hash)

    def add_peers(self, torrent: Torrent, peers: Iterable[str], source: str = "manual") -> None:
        """Have a torrent dial each HOST:PORT; a name that is not found is logged. Raises ValueError."""
        for host, port in [split_host_port(peer) for peer in peers]:
            finding = self._network.resolve(host)
            finding.addCallback(self._found, torrent, port, source)
            finding.addErrback(self._not_found)

    def _found(self, hosts: tuple[str, ...], torrent: Torrent, port: int, source: str) -> None:
        torrent.add_peers([Address(host, port) for host in hosts], source)

    def _found_locally(self, info_hash: bytes, address: Address) -> None:
        torrent = self._torrents.get(info_hash)
        if torrent is not None:
            torrent.add_peers([address], "lsd")

    def _not_found(self, failure: Failure) -> None:
        failure.trap(NetworkError)
        self._log.warn("A peer cannot be dialed: {why}", why=failure.getErrorMessage())

    # What survives

    def _load(self, state: StateFolder) -> None:
        saved, troubles = state.load()
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

    def _save(self, torrent: Torrent) -> Deferred[None]:
        if self._saving is None or self._phase is _Phase.NEW:
            return succeed(None)  # it is saved when the session begins with it
        if torrent.info_hash.short not in self._torrents:
            return succeed(None)
        return self._saving.save(torrent.saved())

    def _changed(self, torrent: Torrent) -> Deferred[None]:
        self._share_memory()
        return self._save(torrent)

    def _share_memory(self) -> None:
        """Pieces in flight of all torrents share one budget."""
        fetching = [torrent for torrent in self._torrents.values() if torrent.state is State.DOWNLOADING]
        for torrent in fetching:
            torrent.share_memory(self.settings.disk.memory_budget // len(fetching))

    # What its parts ask

    def _similar(self, torrent: Torrent) -> list[Torrent]:
        """The others that are hinted to share files with it (BEP 38)."""
        ours = torrent.metainfo
        return [
            other
            for other in self.torrents
            if other is not torrent
            and ours is not None
            and other.metainfo is not None
            and related(ours, other.metainfo)
        ]

    def _make_listener(self) -> Listener | EndpointListener:
        settings = self.settings
        if settings.listen:
            return EndpointListener(self._network, self._factory, settings.listen)
        ports = settings.ports + ((0,) if settings.any_port else ())
        return Listener(self._network, self._factory, settings.listen_host, ports)

    def room_for_peer(self, torrent_peers: int) -> bool:
        if torrent_peers >= self.settings.max_peers_per_torrent:
            return False
        return sum(len(torrent) for torrent in self._torrents.values()) < self.settings.max_peers

    def _lookup(self, info_hash: InfoHash) -> Conversation | None:
        torrent = self._torrents.get(info_hash.short)
        return torrent.conversation() if torrent is not None else None

    def _listens(self, address: Address) -> None:
        self._port = address.port
        self._observers.publish(observe.Listening(address))
        self._listening.meet(address)
        self._run(address.host)

    def _deaf(self, failure: Failure) -> None:
        if failure.check(CancelledError):
            self._listening.miss(NetworkError(self.settings.listen_host, "stopped before it listened"))
            return
        if failure.check(NetworkError):
            self._log.error("No port to listen on: {why}", why=failure.getErrorMessage())
        else:
            self._log.failure("A bug in listening; peers are dialed all the same", failure)
        self._listening.miss(NetworkError(self.settings.listen_host, failure.getErrorMessage()))
        self._run(self.settings.listen_host)

    def _filter_changed(self) -> None:
        for torrent in self._torrents.values():
            torrent.part_from(self._filter.refusal)

    def _pause(self) -> None:
        for torrent in self._torrents.values():
            torrent.pause_peers()

    def _resume(self) -> None:
        for torrent in self._torrents.values():
            torrent.resume_peers()

    def _files(self, home: Home, info: Info) -> IStorage:
        return FileStorage(
            home.folder,
            info,
            allocation=self.settings.allocation,
            paths=home.paths(info),
            open_files=self._open_files,
        )
