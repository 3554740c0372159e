"""What a session shares with its torrents."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from bittwist.discovery.announcer import Announcer
from bittwist.discovery.lsd import LocalDiscovery
from bittwist.metainfo.info import Info
from bittwist.metainfo.infohash import InfoHash
from bittwist.net.http import HttpClient
from bittwist.net.policy import Permit
from bittwist.peer.connector import Connector
from bittwist.session.home import Home
from bittwist.session.observe import Happening
from bittwist.session.roster import Limits
from bittwist.session.settings import SessionSettings
from bittwist.session.throttling import Throttling
from bittwist.storage.disk import Disk
from bittwist.storage.interfaces import IStorage
from bittwist.swarm.own_hosts import OwnHosts
from bittwist.swarm.slots import Slots

if TYPE_CHECKING:
    from bittwist.session.finding import Finding
    from bittwist.session.torrent import Torrent


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Made by the session, the same for all its torrents."""

    clock: IReactorTime
    settings: Callable[[], SessionSettings]
    running: Callable[[], bool]  # whether torrents may run: not before the port is known, nor after the stop
    connector: Connector
    http: HttpClient
    disk: Disk
    random: Random
    peer_id: bytes
    version: str
    limits: Limits
    throttling: Throttling
    slots: Slots
    refusal: Permit
    next_key: Callable[[], int]
    port: Callable[[], int]
    announcer: Callable[[Torrent, Finding], Announcer]
    local: LocalDiscovery
    own_hosts: OwnHosts
    storage: Callable[[Home, Info], IStorage]
    journal: Callable[[InfoHash], Path | None]
    similar: Callable[[Torrent], list[Torrent]]
    publish: Callable[[Happening], None]
    changed: Callable[[Torrent], Deferred[None]]
