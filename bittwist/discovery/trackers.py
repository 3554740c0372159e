"""The client for a tracker's URL, by its scheme."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import cast
from urllib.parse import urlsplit

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from bittwist.address import fold
from bittwist.discovery.families import Asked, BothFamilies
from bittwist.discovery.http import HttpTracker
from bittwist.discovery.interfaces import TrackerClient
from bittwist.discovery.udp import UdpTrackers
from bittwist.errors import TrackerFailure
from bittwist.net.http import HttpClient
from bittwist.net.policy import Network, NetworkReactor


class TrackerClients:
    """Makes the clients of a session, and owns the sockets they share. `token` makes random bytes."""

    def __init__(
        self, clock: NetworkReactor, network: Network, http: HttpClient, token: Callable[[int], bytes]
    ) -> None:
        self._clock = clock
        self._network = network
        self._http = http
        self._udp = UdpTrackers(clock, network, token)
        self._running: dict[Asked, None] = {}

    def client(self, url: str) -> TrackerClient:
        """TrackerFailure, never to be tried again, for a URL that no tracker can be asked at."""
        if self._network.settings.bind is not None or not has_name(url):
            return self._client(url, None)
        return BothFamilies(
            cast(IReactorTime, self._clock), lambda family: self._client(url, family), self._running
        )

    def _client(self, url: str, family: int | None) -> TrackerClient:
        scheme = url.partition(":")[0].lower()
        if scheme == "udp":
            return self._udp.tracker(url, family)
        if scheme in ("ws", "wss"):
            raise TrackerFailure("trackers over WebSocket are for browsers", math.inf)
        return HttpTracker(self._http, url, family=family)

    def close(self) -> Deferred[None]:
        """Give up what nobody waits for any more, what is under way over UDP, and the sockets."""
        for asked in tuple(self._running):
            asked.cancel()
        return self._udp.close()


def has_name(url: str) -> bool:
    """Whether the host of a URL is a name, which may have addresses of both families."""
    try:
        host = urlsplit(url).hostname
    except ValueError:
        return False
    try:
        fold(host or "")
    except ValueError:
        return bool(host)
    return False
