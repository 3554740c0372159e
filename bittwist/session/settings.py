"""The settings of a session: one frozen value, swapped whole by `Session.apply`."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Literal

from bittwist.discovery.announcer import AnnouncerSettings
from bittwist.discovery.lsd import LsdSettings
from bittwist.discovery.pex import PexSettings
from bittwist.net.addressfilter import FilterSettings
from bittwist.net.dual import EVERYWHERE
from bittwist.net.http import HttpSettings
from bittwist.net.policy import NetworkSettings
from bittwist.peer.connector import HALF_OPEN_LIMIT
from bittwist.peer.settings import PeerSettings
from bittwist.peer.webseed import WebSeedSettings
from bittwist.session.limits import LimitSettings
from bittwist.session.rules import Goals
from bittwist.settings import COUNT, COUNT_OR_NONE, SECONDS, check_bounds
from bittwist.storage.disk import DiskSettings
from bittwist.swarm.candidates import CandidateSettings
from bittwist.swarm.choker import ChokerSettings
from bittwist.swarm.pipeline import PipelineSettings
from bittwist.swarm.superseed import SuperseedSettings
from bittwist.wire.fast import ALLOWED_FAST_PIECES

USUAL_PORTS = tuple(range(6881, 6890))  # where BitTorrent clients listen (BEP 3)
MOST_DIALS = 10_000  # at once: what the largest routers follow
MOST_ALLOWED_FAST = 100  # pieces; clients take ten


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """What a session does; each room's part is that room's own settings value.

    ValueError(key, reason) where a setting cannot be used, here and in each room's.

    `listen_host` is the address listened on; "::" is every one, IPv4's too.
    `ports` are tried in order, then any free one unless `any_port` is off; `listen`, Twisted endpoint
    strings, takes the place of `listen_host` and `ports` where it is given. `state_dir` is where
    what survives a restart is kept (None: nothing survives). `external_address` is told to a
    tracker behind the same NAT as we are. With `magnets_private_until_known` a magnet link that names a
    tracker counts as private until its metadata says otherwise.
    """

    listen_host: str = EVERYWHERE
    ports: tuple[int, ...] = USUAL_PORTS
    any_port: bool = True
    listen: tuple[str, ...] = ()
    state_dir: Path | None = None
    external_address: str | None = None
    allocation: Literal["sparse", "full"] = "sparse"
    max_peers: int = 200  # connections of the whole session (what libtorrent ships)
    max_peers_per_torrent: int = 60
    max_peers_per_host: int = 16  # of one torrent: a household or a machine full of tests, not a crowd of one
    dial_below: int = 40  # peers of a torrent below which more are dialed
    half_open: int = HALF_OPEN_LIMIT  # dials at once
    suggest: bool = False  # tell peers what was read last (BEP 6): spares a slow disk, not the swarm
    allowed_fast: int = ALLOWED_FAST_PIECES  # pieces a newcomer may fetch while it is choked (BEP 6); 0: none
    magnets_private_until_known: bool = True
    reuse_similar: bool = False  # copy what similar torrents have already (BEP 38) before peers are asked
    retry_after: float = 30.0  # seconds until a full disk is tried again, or a missing folder looked for
    goals: Goals = field(default_factory=Goals)  # of torrents that have none of their own
    network: NetworkSettings = field(default_factory=NetworkSettings)
    http: HttpSettings = field(default_factory=HttpSettings)
    peer: PeerSettings = field(default_factory=PeerSettings)
    disk: DiskSettings = field(default_factory=DiskSettings)
    choker: ChokerSettings = field(default_factory=ChokerSettings)
    pipeline: PipelineSettings = field(default_factory=PipelineSettings)
    ip_filter: FilterSettings = field(default_factory=FilterSettings)
    limits: LimitSettings = field(default_factory=LimitSettings)
    candidates: CandidateSettings = field(default_factory=CandidateSettings)
    announcer: AnnouncerSettings = field(default_factory=AnnouncerSettings)
    pex: PexSettings = field(default_factory=PexSettings)
    lsd: LsdSettings = field(default_factory=LsdSettings)
    superseed: SuperseedSettings = field(default_factory=SuperseedSettings)
    web_seeds: WebSeedSettings = field(default_factory=WebSeedSettings)

    def __post_init__(self) -> None:
        check_bounds(
            self,
            {
                "max_peers": COUNT,
                "max_peers_per_torrent": COUNT,
                "max_peers_per_host": COUNT,
                "dial_below": COUNT_OR_NONE,
                "half_open": (1, MOST_DIALS),
                "allowed_fast": (0, MOST_ALLOWED_FAST),
                "retry_after": SECONDS,
            },
        )
        for port in self.ports:
            if not 0 <= port <= 65535:
                raise ValueError("ports", f"must be of 0 to 65535, not {port}"[:200])
        try:
            ip_address(self.listen_host or "0.0.0.0")  # "" is every IPv4 address
        except ValueError:
            reason = f"must be an IP address, not {self.listen_host!r}"[:200]
            raise ValueError("listen_host", reason) from None
