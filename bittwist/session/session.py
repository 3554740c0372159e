"""The conductor: torrents, the port peers reach us on, and what they share."""

from __future__ import annotations

import itertools
import secrets
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from random import Random
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from bittwist import __version__
from bittwist.address import Address, split_host_port
from bittwist.discovery.lsd import LocalDiscovery
from bittwist.discovery.trackers import TrackerClients
from bittwist.errors import (
    NetworkError,
    SessionError,
)
from bittwist.metainfo import peerid
from bittwist.metainfo.info import Info
from bittwist.metainfo.infohash import InfoHash
from bittwist.metainfo.magnet import Magnet
from bittwist.metainfo.metainfo import Metainfo
from bittwist.net.addressfilter import AddressFilter, FilterStatus
from bittwist.net.http import HttpClient
from bittwist.net.policy import Network
from bittwist.peer.connector import Connector
from bittwist.peer.factory import PeerFactory
from bittwist.peer.listener import EndpointListener, Listener
from bittwist.session import observe
from bittwist.session.announcing import Announcing
from bittwist.session.conditions import Condition
from bittwist.session.conversation import Conversation
from bittwist.session.home import Home
from bittwist.session.lookups import LookUps
from bittwist.session.settings import SessionSettings
from bittwist.session.state import SavedTorrent, StateFolder
from bittwist.session.surroundings import Surroundings
from bittwist.session.throttling import Throttling
from bittwist.session.torrent import Torrent
from bittwist.session.torrents import Phase, Torrents
from bittwist.session.wanted import Choose
from bittwist.storage.disk import Disk
from bittwist.storage.files import FileStorage
from bittwist.storage.interfaces import IStorage
from bittwist.storage.openfiles import OpenFiles
from bittwist.swarm.own_hosts import OwnHosts
from bittwist.swarm.slots import Slots


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
        self._observers = observe.Observers(reactor)
        self._listening: Condition[Address] = Condition(reactor)
        self._starting: Deferred[None] = succeed(None)
        self._port = 0
        self._look_ups = LookUps()
        folder = StateFolder(self.settings.state_dir) if self.settings.state_dir else None
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
        self._torrents = Torrents(
            lambda: self.settings,
            lambda saved, force, choose: Torrent(self._around, saved, force=force, choose=choose),
            folder,
            self._disk,
            self._throttling,
            self.add_peers,
            self._observers.publish,
        )
        self._disk.watch(self._torrents.pause, self._torrents.resume)
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
            running=lambda: self._torrents.phase is Phase.RUNNING,
            connector=self._connector,
            http=self._fetch,
            disk=self._disk,
            random=self._random,
            peer_id=self.peer_id,
            version=f"bittwist {__version__}",
            limits=self._torrents,
            throttling=self._throttling,
            slots=Slots(lambda: self.settings.limits.upload_slots),
            refusal=self._filter.refusal,
            next_key=lambda: next(keys),
            port=lambda: self._port,
            announcer=announcing.announcer,
            local=self._local,
            own_hosts=OwnHosts(self.settings.external_address),
            storage=self._files if storage is None else lambda home, info: storage(home.folder, info),
            journal=lambda info_hash: folder.journal(info_hash) if folder else None,
            similar=self._torrents.similar,
            publish=self._observers.publish,
            changed=self._torrents.changed,
        )

    # The service

    def startService(self) -> None:
        """Take up what `state_dir` remembers, listen, and then begin with every torrent.

        SessionError when it was started before: what a session stops cannot be started again.
        """
        if self._torrents.phase is not Phase.NEW:
            raise SessionError("a session is started only once: make another")
        super().startService()  # type: ignore[no-untyped-call]  # Twisted's Service has no annotations
        self._throttling.start(self.settings.limits)
        self._torrents.open(restore=self._restore)
        listening = Deferred.fromCoroutine(self._listen())
        self._starting = listening.addCallbacks(self._listens, self._deaf)
        self._starting.addErrback(lambda failure: self._log.failure("A session did not start well", failure))

    async def _listen(self) -> Address:
        await self._filter.start()
        return await self._listener.start()

    def stopService(self) -> Deferred[None]:
        """Fires when trackers are told, peers are gone and the disk has everything."""
        super().stopService()  # type: ignore[no-untyped-call]
        self._torrents.end()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        self._starting.cancel()
        self._listening.miss(NetworkError(self.settings.listen_host, "stopped before it listened"))
        self._look_ups.stop()
        self._throttling.stop()
        self._filter.stop()
        await self._listener.stop()
        self._connector.stop()
        await self._torrents.close()
        await self._trackers.close()
        await self._local.stop()
        await self._disk.stop()
        await self._torrents.written()

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
        self._torrents.share_memory()

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
        return tuple(self._torrents)

    def torrent(self, info_hash: InfoHash) -> Torrent:
        """NoSuchTorrent where there is none."""
        return self._torrents.of(info_hash)

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

        Fires when `state_dir` remembers it and it runs, or at once before the session knows where it listens:
        then it runs as soon as that is known. `force` lets it write over files that nothing vouches for.
        `choose` is asked for the priorities of files as soon as these are known, before any is made; a magnet
        link that names files (BEP 53) wants no others, unless it says so. Where that cannot be chosen, the
        torrent fails and fetches nothing until `set_priorities` has said which files are wanted. Fails with
        DuplicateTorrent, with MetainfoError for what cannot be traded (only a v2 form, a magnet link with
        only a v2 hash, or one whose choice of files cannot be read), and with SessionError once the session
        is stopped.
        """
        saved = SavedTorrent(source, str(save_path), start, 0, 0, self._wall())
        return maybeDeferred(self._torrents.add, saved, force, choose)

    def remove(self, info_hash: InfoHash) -> Deferred[None]:
        """Stop a torrent and forget it; its files stay."""
        return self._torrents.remove(info_hash)

    def observe(self, observer: observe.Observer) -> Callable[[], None]:
        """Tell `observer` every Event from now on; the function returned ends it."""
        return self._observers.add(observer)

    def add_peers(self, torrent: Torrent, peers: Iterable[str], source: str = "manual") -> None:
        """Have a torrent dial each HOST:PORT, unless the session is stopped. Raises ValueError.

        A name that is not found is logged.
        """
        for host, port in [split_host_port(peer) for peer in peers]:

            def found(hosts: tuple[str, ...], port: int = port) -> None:
                torrent.add_peers([Address(host, port) for host in hosts], source)

            self._look_ups.begin(self._network, host, found, self._not_found)

    def _found_locally(self, info_hash: bytes, address: Address) -> None:
        torrent = self._torrents.get(info_hash)
        if torrent is not None:
            torrent.add_peers([address], "lsd")

    def _not_found(self, why: NetworkError) -> None:
        self._log.warn("A peer cannot be dialed: {why}", why=why)

    # What its parts ask and tell

    def _make_listener(self) -> Listener | EndpointListener:
        settings = self.settings
        if settings.listen:
            return EndpointListener(self._network, self._factory, settings.listen)
        ports = settings.ports + ((0,) if settings.any_port else ())
        return Listener(self._network, self._factory, settings.listen_host, ports)

    def _lookup(self, info_hash: InfoHash) -> Conversation | None:
        torrent = self._torrents.get(info_hash.short)
        return torrent.conversation() if torrent is not None else None

    def _listens(self, address: Address) -> None:
        self._port = address.port
        self._observers.publish(observe.Listening(address))
        self._listening.meet(address)
        self._begin(address.host)

    def _deaf(self, failure: Failure) -> None:
        if failure.check(CancelledError):
            return  # stopped before
        host = self.settings.listen_host
        if isinstance(failure.value, NetworkError):
            self._log.error("No port to listen on: {why}", why=failure.value)
            self._listening.miss(failure.value)
        else:
            self._log.failure("A bug in listening; peers are dialed all the same", failure)
            self._listening.miss(NetworkError(host, failure.getErrorMessage()))
        self._begin(host)

    def _begin(self, host: str) -> None:
        """Peers reach us at `host`, or nowhere: now torrents run."""
        if self._torrents.phase is not Phase.STARTING:
            return  # stopped meanwhile
        self._local.start(host)
        self._torrents.run()

    def _filter_changed(self) -> None:
        for torrent in self._torrents:
            torrent.part_from(self._filter.refusal)

    def _files(self, home: Home, info: Info) -> IStorage:
        return FileStorage(
            home.folder,
            info,
            allocation=self.settings.allocation,
            paths=home.paths(info),
            open_files=self._open_files,
        )
