"""Test doubles, for bittwist's tests and for those of programs that embed it.

A network in memory whose hosts are reactors (`SimulatedNetwork`), a peer that speaks to order
(`FakePeer`, which speaks BEP 3 right or wrong), storage in memory, a thread pool that runs at once.
May import any room but session, control and app; only tests import it.
"""

from bittwist.storage.memory import MemoryStorage
from bittwist.testing.clock import SteppingClock
from bittwist.testing.host import Host
from bittwist.testing.link import Link
from bittwist.testing.network import NotQuiet, SimulatedNetwork, Stalled
from bittwist.testing.peer import Conduct, FakePeer, FakePeers
from bittwist.testing.threads import PoolAtOnce

__all__ = [
    "Conduct",
    "FakePeer",
    "FakePeers",
    "Host",
    "Link",
    "MemoryStorage",
    "NotQuiet",
    "PoolAtOnce",
    "SimulatedNetwork",
    "Stalled",
    "SteppingClock",
]
