"""Finding peers: announces to trackers over HTTP (BEP 3, 7, 12, 23, 24, 31, 48).

`Announcer` keeps one torrent known to its trackers; it speaks to them through clients such as
`HttpTracker`. Imports metainfo, announce, dht, wire (PEX values) and net.
"""

from bittwist.discovery.announcer import Announcer, AnnouncerSettings, AnnounceState, TrackerStatus
from bittwist.discovery.http import HttpTracker, http_trackers
from bittwist.discovery.interfaces import IPeerSource, TrackerClient
from bittwist.discovery.relation import TrackerState

__all__ = [
    "AnnounceState",
    "Announcer",
    "AnnouncerSettings",
    "HttpTracker",
    "IPeerSource",
    "TrackerClient",
    "TrackerState",
    "TrackerStatus",
    "http_trackers",
]
