"""Every connection's way through the limits: its torrent's, its class's and the session's, up and down."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from bittwist.net.ipfilter import AddressRanges
from bittwist.net.throttle import Allowance
from bittwist.net.turns import Gate, Share
from bittwist.session.limits import OF_SETTINGS, WEB_SEEDS, LimitSettings, TorrentLimits

LOOK_EVERY = 15.0  # seconds between looks at the schedule of the alternative speeds, which knows minutes


@dataclass(frozen=True, slots=True)
class _Session:
    """Names the gate of the whole session."""


@dataclass(frozen=True, slots=True)
class _Class:
    """Names the gate of a peer class, by its place in the settings."""

    place: int


_Key = bytes | _Class | _Session  # bytes: the short info hash of a torrent


class _Direction:
    """The gates of one direction; what has no limit has no gate."""

    def __init__(self, clock: IReactorTime, rate: Callable[[_Key], float]) -> None:
        self._clock = clock
        self._rate = rate
        self._gates: dict[_Key, Gate] = {}

    def through(self, keys: tuple[_Key, ...]) -> tuple[Gate, ...]:
        return tuple([gate for key in keys if (gate := self._gate(key)) is not None])

    def _gate(self, key: _Key) -> Gate | None:
        gate = self._gates.get(key)
        if gate is None and (rate := self._rate(key)) > 0:
            gate = self._gates[key] = Gate(self._clock, rate)
        return gate

    def look_again(self) -> None:
        """The rates may be others."""
        for key, gate in tuple(self._gates.items()):
            rate = self._rate(key)
            if rate > 0:
                gate.set_rate(rate)
            else:
                del self._gates[key]

    def forget(self, key: _Key) -> None:
        self._gates.pop(key, None)


class Lane:
    """The allowances of one connection, or of all of a torrent's web seeds; ends with `close`."""

    def __init__(self, throttling: Throttling, host: str | None, group: bytes | None) -> None:
        self.host = host  # None for web seeds
        self.group = group
        self._throttling = throttling
        self._down = Share(throttling.clock)
        self._up = Share(throttling.clock)

    @property
    def download(self) -> Allowance:
        return self._down

    @property
    def upload(self) -> Allowance:
        return self._up

    def joined(self, group: bytes) -> None:
        """It belongs to the torrent of that (short) info hash."""
        self.group = group
        self._throttling.lead(self)

    def lead_through(self, down: tuple[Gate, ...], up: tuple[Gate, ...]) -> None:
        self._down.lead_through(down)
        self._up.lead_through(up)

    def close(self) -> None:
        self._down.close()
        self._up.close()
        self._throttling.closed(self)


class Throttling:
    """Owns the gates of a session, and knows every connection. Nothing is limited before `start`."""

    def __init__(self, clock: IReactorTime, wall: Callable[[], float]) -> None:
        self.clock = clock
        self._wall = wall
        self._settings = LimitSettings()
        self._ranges: tuple[AddressRanges, ...] = ()
        self._web_seeds: int | None = None  # the place of their class
        self._torrents: dict[bytes, TorrentLimits] = {}
        self._down = _Direction(clock, lambda key: self._settings.payload(self._rates(key)[0]))
        self._up = _Direction(clock, lambda key: self._settings.payload(self._rates(key)[1]))
        self._lanes: dict[Lane, None] = {}
        self._running = False
        self._look: IDelayedCall | None = None
        self.alternative = False  # the alternative speeds are in force

    def start(self, settings: LimitSettings) -> None:
        self._running = True
        self.apply(settings)

    def apply(self, settings: LimitSettings) -> None:
        """Swap the settings; all connections there are follow at once."""
        self._settings = settings
        if not self._running:
            return
        self._ranges = tuple([each.ranges() for each in settings.classes])
        named = [place for place, each in enumerate(settings.classes) if WEB_SEEDS in each.addresses]
        self._web_seeds = named[0] if named else None
        if self._look is not None:
            self._look.cancel()
        self._look_at_schedule()
        self._look_again()

    def stop(self) -> None:
        """Limit nothing any more: what is unsent is no reason to wait."""
        self._running = False
        if self._look is not None:
            self._look.cancel()
            self._look = None
        self._look_again()

    def connection(self, host: str) -> Lane:
        """For a connection with `host`; its torrent is told by `Lane.joined`."""
        return self._new(Lane(self, host, None))

    def web_seeds(self, group: bytes) -> Lane:
        """For the web seeds of a torrent, which together count as one connection."""
        return self._new(Lane(self, None, group))

    def limits_of(self, group: bytes) -> TorrentLimits:
        return self._torrents.get(group, OF_SETTINGS)

    def download_rate(self, group: bytes) -> float | None:
        """What a torrent can hope for: its own limit, or its part of the session's; None without limits."""
        own, whole = self._rates(group)[0], self._rates(_Session())[0]
        shares = len({lane.group for lane in self._lanes if lane.host is not None} | {group})
        hopes = [float(own)] if own else []
        return min([*hopes, whole / shares] if whole else hopes, default=None)

    def set_limits(self, group: bytes, limits: TorrentLimits) -> None:
        """Of one torrent, from now on."""
        self._torrents[group] = limits
        self._look_again()

    def forget(self, group: bytes) -> None:
        """The torrent is gone."""
        self._torrents.pop(group, None)
        self._down.forget(group)
        self._up.forget(group)

    # What lanes tell

    def lead(self, lane: Lane) -> None:
        """Through the gates there are for it now."""
        place = self._class_of(lane.host)
        way: tuple[_Key, ...] = () if place is None else (_Class(place),)
        if place is None or not self._settings.classes[place].exempt:
            torrent = () if lane.group is None else (lane.group,)
            way = (*torrent, *way, _Session())
        lane.lead_through(self._down.through(way), self._up.through(way))

    def closed(self, lane: Lane) -> None:
        self._lanes.pop(lane, None)

    def _new(self, lane: Lane) -> Lane:
        self._lanes[lane] = None
        self.lead(lane)
        return lane

    # Rates

    def _class_of(self, host: str | None) -> int | None:
        if host is None:
            return self._web_seeds
        for place, ranges in enumerate(self._ranges):
            if host in ranges:
                return place
        return None

    def _rates(self, key: _Key) -> tuple[int, int]:
        """Download and upload."""
        settings = self._settings
        if not self._running:
            return 0, 0
        match key:
            case _Session():
                whole = settings.alternative if self.alternative else settings
                return whole.download_rate, whole.upload_rate
            case _Class(place):
                if place >= len(settings.classes):
                    return 0, 0  # there was one more before
                return settings.classes[place].download_rate, settings.classes[place].upload_rate
            case _:
                own = self.limits_of(key)
                return (
                    settings.torrent_download_rate if own.download is None else own.download,
                    settings.torrent_upload_rate if own.upload is None else own.upload,
                )

    def _look_again(self) -> None:
        self._down.look_again()
        self._up.look_again()
        for lane in tuple(self._lanes):
            self.lead(lane)

    def _look_at_schedule(self) -> None:
        """Note whether the alternative speeds are in force, and look again where they may come and go."""
        self._look = None
        alternative = self._settings.alternative
        self.alternative = alternative.in_force(datetime.fromtimestamp(self._wall()))
        if alternative.when == "scheduled":
            self._look = self.clock.callLater(LOOK_EVERY, self._time_passes)

    def _time_passes(self) -> None:
        before = self.alternative
        self._look_at_schedule()
        if self.alternative is not before:
            self._look_again()
