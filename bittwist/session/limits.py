"""What limits a session has for rates and slots, and when the alternative ones are in force.

Rates are bytes a second of all that goes over a peer's or web seed's connection, messages and headers of ours
included; 0 means no limit. Trackers, local discovery and look-ups are small, and are not counted.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from typing import Literal

from bittwist.net.ipfilter import AddressRange, AddressRanges
from bittwist.settings import COUNT_OR_NONE, RATE, check_bounds

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
LOCAL = "local"  # in place of an address: private networks, link-local addresses and this machine
WEB_SEEDS = "web seeds"  # in place of an address: every web seed
LOCAL_NETWORKS = (
    *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "127.0.0.0/8"),
    *("fc00::/7", "fe80::/10", "::1"),
)
SEGMENT = 1500  # bytes of a full packet on most ways, of which
SEGMENT_HEADERS = 52  # are IPv4, TCP and its time stamps


@dataclass(frozen=True, slots=True)
class AlternativeSpeeds:
    """Other limits for the whole session: switched on, or from one time of day to another on some days.

    A time that ends before it begins ends on the next day, and belongs to the day it began on.
    """

    when: Literal["never", "always", "scheduled"] = "never"
    download_rate: int = 0
    upload_rate: int = 0
    days: tuple[str, ...] = DAYS
    begins: str = "08:00"
    ends: str = "20:00"

    def __post_init__(self) -> None:
        check_bounds(self, {"download_rate": RATE, "upload_rate": RATE})
        for key in ("begins", "ends"):
            try:
                _time(getattr(self, key))
            except ValueError:
                raise ValueError(key, 'must be a time of day such as "08:00"') from None
        if not set(self.days) <= set(DAYS):
            raise ValueError("days", f"may be {', '.join(DAYS)}")

    def in_force(self, moment: datetime) -> bool:
        """Whether these limits take the place of the others at that moment of local time."""
        if self.when != "scheduled":
            return self.when == "always"
        begins, ends = _time(self.begins), _time(self.ends)
        today, yesterday = DAYS[moment.weekday()], DAYS[(moment - timedelta(days=1)).weekday()]
        now = moment.time()
        if begins < ends:
            return today in self.days and begins <= now < ends
        return (today in self.days and now >= begins) or (yesterday in self.days and now < ends)


@dataclass(frozen=True, slots=True)
class PeerClass:
    """Peers that share limits of their own, besides those of their torrent and of the session.

    `addresses` are addresses, networks and ranges, "local", or "web seeds". An `exempt` class knows no limit
    but its own.
    """

    name: str = ""
    addresses: tuple[str, ...] = ()
    download_rate: int = 0
    upload_rate: int = 0
    exempt: bool = False

    def __post_init__(self) -> None:
        check_bounds(self, {"download_rate": RATE, "upload_rate": RATE})
        for text in self.addresses:
            if text not in (LOCAL, WEB_SEEDS):
                try:
                    AddressRange.parse(text)
                except ValueError as error:
                    raise ValueError("addresses", str(error)) from None

    def ranges(self) -> AddressRanges:
        """The addresses that are written out, and those of "local"."""
        texts: list[str] = []
        for text in self.addresses:
            texts.extend(LOCAL_NETWORKS if text == LOCAL else () if text == WEB_SEEDS else (text,))
        return AddressRanges(map(AddressRange.parse, texts))


@dataclass(frozen=True, slots=True)
class LimitSettings:
    """Rates in bytes a second; 0 means no limit.

    `torrent_…` hold for each torrent that is not given its own. A peer belongs to the first of `classes` that
    names its address; without classes all peers are alike, those of the local network as well.
    `count_ip_overhead` takes the headers of TCP and IP into account, as if all packets were full ones.
    `upload_slots` bounds how many peers all torrents together give to at once.
    """

    download_rate: int = 0
    upload_rate: int = 0
    torrent_download_rate: int = 0
    torrent_upload_rate: int = 0
    upload_slots: int = 0
    count_ip_overhead: bool = False
    classes: tuple[PeerClass, ...] = ()
    alternative: AlternativeSpeeds = field(default_factory=AlternativeSpeeds)

    def __post_init__(self) -> None:
        check_bounds(
            self,
            {
                "download_rate": RATE,
                "upload_rate": RATE,
                "torrent_download_rate": RATE,
                "torrent_upload_rate": RATE,
                "upload_slots": COUNT_OR_NONE,
            },
        )

    def payload(self, rate: int) -> float:
        """What of a rate is left for the bytes of connections."""
        return rate * (1 - SEGMENT_HEADERS / SEGMENT) if self.count_ip_overhead else float(rate)


@dataclass(frozen=True, slots=True)
class TorrentLimits:
    """A torrent's own rates in bytes a second; 0 for no limit, None for what the settings say."""

    download: int | None = None
    upload: int | None = None

    def __post_init__(self) -> None:
        if min(self.download or 0, self.upload or 0) < 0:
            raise ValueError("a rate is 0, for no limit, or more")


OF_SETTINGS = TorrentLimits()


def _time(text: str) -> time:
    if len(text) != len("00:00"):
        raise ValueError(text)
    return time.fromisoformat(text)
