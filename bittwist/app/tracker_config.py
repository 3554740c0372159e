"""What a tracker's file and command line can say."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from bittwist.app.tracker_listen import ListenSettings
from bittwist.app.tracker_workers import MAX_WORKERS
from bittwist.net.site import SiteSettings
from bittwist.tracker import TrackerSettings
from bittwist.tracker.access_settings import AccessSettings
from bittwist.tracker.admin_settings import AdminSettings
from bittwist.tracker.redis_settings import RedisSettings
from bittwist.tracker.snapshot import SnapshotSettings
from bittwist.tracker.udp import UdpSettings
from bittwist.tracker.websocket_settings import WebSocketSettings


@dataclass(frozen=True, slots=True)
class TrackerConfig:
    """Where a tracker listens, how many processes it is, and its rooms' settings."""

    workers: int = 1
    listen: ListenSettings = field(default_factory=ListenSettings)
    tracker: TrackerSettings = field(default_factory=TrackerSettings)
    access: AccessSettings = field(default_factory=AccessSettings)
    snapshot: SnapshotSettings = field(default_factory=SnapshotSettings)
    redis: RedisSettings = field(default_factory=RedisSettings)
    site: SiteSettings = field(default_factory=SiteSettings)
    udp: UdpSettings = field(default_factory=UdpSettings)
    ws: WebSocketSettings = field(default_factory=WebSocketSettings)
    admin: AdminSettings = field(default_factory=AdminSettings)

    def __post_init__(self) -> None:
        if not 1 <= self.workers <= MAX_WORKERS:
            raise ValueError("workers", f"must be 1 to {MAX_WORKERS}")
        if self.snapshot.file is not None and self.redis.servers:
            raise ValueError("snapshot.file", "swarms in Redis are kept by Redis")

    def anchored(self, folder: Path) -> TrackerConfig:
        """The same, with every relative path from `folder` on: twistd leaves its own (--rundir)."""
        udp = self.udp
        if udp.secret_file:
            udp = replace(udp, secret_file=str(folder / udp.secret_file))
        return replace(
            self,
            access=_anchored(self.access, folder),
            snapshot=_anchored(self.snapshot, folder),
            udp=udp,
            admin=_anchored(self.admin, folder),
        )


def _anchored(room: Any, folder: Path) -> Any:
    paths = {each.name: getattr(room, each.name) for each in fields(room)}
    return replace(room, **{name: folder / path for name, path in paths.items() if isinstance(path, Path)})
