"""The client for a tracker's URL, by its scheme."""

from __future__ import annotations

import math
from collections.abc import Callable

from twisted.internet.defer import Deferred

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
        self._http = http
        self._udp = UdpTrackers(clock, network, token)

    def client(self, url: str) -> TrackerClient:
        """TrackerFailure, never to be tried again, for a URL that no tracker can be asked at."""
        scheme = url.partition(":")[0].lower()
        if scheme == "udp":
            return self._udp.tracker(url)
        if scheme in ("ws", "wss"):
            raise TrackerFailure("trackers over WebSocket are for browsers", math.inf)
        return HttpTracker(self._http, url)

    def close(self) -> Deferred[None]:
        """Give up what is under way over UDP, and the sockets."""
        return self._udp.close()
