"""The memory store keeps what every store promises."""

from random import Random

from twisted.trial.unittest import SynchronousTestCase

from bittwist.testing.stores import SwarmStoreContract
from bittwist.tracker import ISwarmStore, TrackerSettings
from bittwist.tracker.swarms import Swarms
from tests.scale import SEED


class MemoryStoreTests(SwarmStoreContract, SynchronousTestCase):
    def make_store(self, settings: TrackerSettings) -> ISwarmStore:
        return ISwarmStore(Swarms(lambda: 0.0, Random(SEED), settings))
