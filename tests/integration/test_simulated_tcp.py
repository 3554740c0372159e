"""The simulated network tells protocols what real TCP tells them."""

from __future__ import annotations

import pytest
import pytest_twisted
from twisted.internet import reactor

from bittwist.testing import SimulatedNetwork
from tests.testing.scenarios import SCENARIOS, play, simulated


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
@pytest_twisted.ensureDeferred
async def test_a_simulation_tells_the_same_story_as_tcp(scenario):
    real = await play(scenario, reactor, reactor, "127.0.0.1")
    assert real
    assert simulated(SimulatedNetwork(), scenario) == real
