"""Makes of a tracker's settings the services that twistd runs."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

from twisted.application.internet import StreamServerEndpointService
from twisted.application.service import MultiService
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IListeningPort, IProtocolFactory, IStreamServerEndpoint
from twisted.logger import Logger
from zope.interface import implementer

from bittwist.address import Address
from bittwist.app.reload import Reload
from bittwist.app.tracker_config import TrackerConfig
from bittwist.app.tracker_reload import SettingsFile
from bittwist.net.policy import Network
from bittwist.net.site import SiteFront
from bittwist.tracker import Tracker
from bittwist.tracker.admin import Admin
from bittwist.tracker.admin_places import at_home, worker_endpoint
from bittwist.tracker.admission import Admission
from bittwist.tracker.datagram import UdpFront, connection_ids, parse_udp
from bittwist.tracker.redis import RedisSwarms, redis_swarms
from bittwist.tracker.websocket import WebSocketFront

_log = Logger()


def tracker_service(
    reactor: Any,
    config: TrackerConfig,
    *,
    file: str | Path | None = None,
    shared: bool = False,
    worker: int = 0,
) -> MultiService:
    """A tracker, and a listening service for each of its endpoints. Nothing opens before it is started.

    With `shared` the ports can be open in other processes too; `worker` counts these from 1. On SIGHUP the
    `file` is read again. Relative paths, of `file` and of a `config` that is not read from one, are from the
    folder we are in now.
    """
    folder = Path.cwd()
    config = config.anchored(folder)
    settings = SettingsFile(folder / file) if file is not None else None
    whole = MultiService()

    def reload() -> None:
        admission.reload()
        if settings is not None:
            settings.apply(tracker, admin)

    # The first to start: before, the signal would end the process.
    Reload(reactor, reload).setServiceParent(whole)  # type: ignore[no-untyped-call]  # untyped in Twisted
    network = Network(reactor)
    admin: Admin | None = None
    admission = Admission(reactor, config.access, time.time)
    admission.setServiceParent(whole)  # type: ignore[no-untyped-call]  # untyped in Twisted
    tracker = Tracker(
        reactor,
        config.tracker,
        store=_store(reactor, network, config),
        hooks=admission.hooks,
        hybrids=admission.hybrids,
        snapshot=config.snapshot,
        wall=time.time,
    )
    tracker.setServiceParent(whole)  # type: ignore[no-untyped-call]  # untyped in Twisted

    def listen(
        description: str, factory: SiteFront | WebSocketFront, what: str, shared: bool = False
    ) -> None:
        factory.noisy = False  # `_Opened` tells where it listens, in words
        listening = StreamServerEndpointService(_Opened(network, description, shared, what), factory)
        # Twisted would log that a port cannot be opened and go on; a tracker nobody reaches shall not start.
        listening._raiseSynchronously = True
        listening.setServiceParent(whole)

    for description in config.listen.http:
        listen(description, tracker.site(config.site), "announces are taken", shared)
    if config.listen.udp:
        places = [parse_udp(place) for place in config.listen.udp]
        ids = connection_ids(config.udp, time.time)
        front = UdpFront(tracker, network, places, ids, config.udp, shared=shared)
        front.setServiceParent(whole)  # type: ignore[no-untyped-call]  # untyped in Twisted
    if config.listen.ws and worker <= 1:  # browsers can meet in one process only
        browsers = WebSocketFront(reactor, tracker, config.ws)
        for description in config.listen.ws:
            listen(description, browsers, "browsers are met")
    if config.listen.admin:
        admin = Admin(
            reactor,
            tracker,
            config.admin,
            torrents=admission.registry,
            users=admission.users,
            worker=worker,
        )
        admin.setServiceParent(whole)  # type: ignore[no-untyped-call]  # untyped in Twisted
        for description in config.listen.admin:
            listen(
                worker_endpoint(at_home(description), worker), admin.site(config.site), "the admin port is"
            )

    return whole


def _store(reactor: Any, network: Network, config: TrackerConfig) -> RedisSwarms | None:
    if not config.redis.servers:
        return None
    return redis_swarms(reactor, network, config.redis, config.tracker, Random())


@implementer(IStreamServerEndpoint)
class _Opened:
    """An endpoint string, opened by the one object that opens things."""

    def __init__(self, network: Network, description: str, shared: bool, what: str) -> None:
        self._network = network
        self._description = description
        self._shared = shared
        self._what = what

    def listen(self, protocolFactory: IProtocolFactory) -> Deferred[IListeningPort]:
        opened = self._network.listen_on(self._description, protocolFactory, shared=self._shared)
        return opened.addCallback(self._told)

    def _told(self, port: IListeningPort) -> IListeningPort:
        at = port.getHost()
        where = str(Address(at.host, at.port)) if isinstance(at, IPv4Address | IPv6Address) else str(at)
        _log.info("{what} on {where}", what=self._what, where=where)
        return port


def with_secret(config: TrackerConfig, secret: str) -> TrackerConfig:
    """The settings of a worker, whose connection ids the others know too."""
    if config.udp.secret or config.udp.secret_file:
        return config
    return replace(config, udp=replace(config.udp, secret=secret))
