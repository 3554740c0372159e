"""Where a tracker is asked: the places that its file and command line name."""

from __future__ import annotations

from dataclasses import dataclass

from bittwist.tracker.admin_places import at_home
from bittwist.tracker.datagram import parse_udp


@dataclass(frozen=True, slots=True)
class ListenSettings:
    """Twisted endpoint strings, but for `udp`, which is PORT or HOST:PORT. ValueError(key, reason)."""

    http: tuple[str, ...] = ("tcp:6969",)
    udp: tuple[str, ...] = ("6969",)
    ws: tuple[str, ...] = ()
    admin: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for place in self.udp:
            try:
                parse_udp(place)
            except ValueError as error:
                raise ValueError("udp", f"{place!r} is neither PORT nor HOST:PORT") from error
        for description in self.admin:
            try:
                at_home(description)
            except ValueError as error:
                raise ValueError("admin", str(error)) from error
