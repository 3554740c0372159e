"""The tracker: who is in which swarm, told to those who ask (BEP 3, 7, 23, 24, 31, 48).

It stands alone or inside another program: `Tracker(reactor, settings)` is a service, `tracker.resource()`
mounts in any Site. May import metainfo, announce and net. Importing klein installs a reactor, so only
tracker.resource does, and only `Tracker.resource()` imports that.
"""

from bittwist.tracker.interfaces import (
    AnnounceHook,
    Arrival,
    Front,
    IAnnounceHook,
    ISwarmStore,
    Reply,
    SwarmAnswer,
    Totals,
)
from bittwist.tracker.settings import TrackerSettings
from bittwist.tracker.tracker import Tracker

__all__ = [
    "AnnounceHook",
    "Arrival",
    "Front",
    "IAnnounceHook",
    "ISwarmStore",
    "Reply",
    "SwarmAnswer",
    "Totals",
    "Tracker",
    "TrackerSettings",
]
