"""Every scenario ends quietly and alike, however bytes are cut and delayed.

tests/integration adds: it ends as over real TCP.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from bittwist.testing import Link, SimulatedNetwork
from tests.testing.scenarios import SCENARIOS, simulated


class ScenarioTests(SynchronousTestCase):
    def networks(self):
        yield SimulatedNetwork(0)
        yield SimulatedNetwork(1, random_segments=True, link=Link(jitter=0.01))
        yield SimulatedNetwork(2, link=Link(latency=0.001, bandwidth=100 << 20))
        limited = SimulatedNetwork(3)
        limited.host("10.0.0.1").limit(upload=50 << 20, download=50 << 20)
        yield limited

    def test_a_scenario_has_one_story(self):
        for scenario in SCENARIOS:
            stories = []
            for network in self.networks():
                with self.subTest(scenario=scenario.__name__, seed=network.seed):
                    stories.append(simulated(network, scenario))
                    network.run_until_quiet()
                    network.flush_failures(ZeroDivisionError)
                    self.flushLoggedErrors(ZeroDivisionError)
                    network.assert_quiet()
                    self.assertEqual(stories[-1], stories[0])
