"""Twisted plumbing without BitTorrent: every socket, look-up and fetch goes through here.

`policy.Network` is the one object that opens anything; `http.HttpClient` the one HTTP client, `site` the
one HTTP server front, `throttle` asks before bytes move, `bulk` moves many of them cheaply. This room
imports no other room.
"""

from bittwist.net.policy import Network, NetworkSettings
from bittwist.net.throttle import UNLIMITED, Allowance

__all__ = ["UNLIMITED", "Allowance", "Network", "NetworkSettings"]
