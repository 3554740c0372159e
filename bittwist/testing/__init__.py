"""Test doubles, for bittwist's tests and for those of programs that embed it.

A network in memory whose hosts are reactors (`SimulatedNetwork`), a peer that speaks to order
(`FakePeer`), a thread pool that runs at once (`PoolAtOnce`). May import any room but
session, control and app; only tests import it.
"""

from bittwist.testing.clock import SteppingClock
from bittwist.testing.host import Host
from bittwist.testing.link import Link
from bittwist.testing.network import NotQuiet, SimulatedNetwork, Stalled
from bittwist.testing.threads import PoolAtOnce

__all__ = ["Host", "Link", "NotQuiet", "PoolAtOnce", "SimulatedNetwork", "Stalled", "SteppingClock"]
