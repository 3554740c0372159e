"""A reactor that is held up is noticed, with the place where it is."""

import time

import pytest_twisted
from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.logger import globalLogPublisher

from bittwist.app.lag import LoopLag


def block_the_reactor(seconds):
    time.sleep(seconds)


@pytest_twisted.ensureDeferred
async def test_a_call_that_blocks_is_named_once_in_the_log():
    said = []
    globalLogPublisher.addObserver(said.append)
    lag = LoopLag(reactor, late=0.3)
    lag.startService()
    try:
        await deferLater(reactor, 0.1)
        block_the_reactor(1.0)
        await deferLater(reactor, 0.1)
    finally:
        lag.stopService()
        globalLogPublisher.removeObserver(said.append)
    reports = [event for event in said if event.get("log_namespace") == "bittwist.app.lag.LoopLag"]
    assert len(reports) == 1
    assert "block_the_reactor" in reports[0]["stack"]


@pytest_twisted.ensureDeferred
async def test_a_reactor_that_runs_is_not_worth_a_word():
    said = []
    globalLogPublisher.addObserver(said.append)
    lag = LoopLag(reactor, late=2.0)
    lag.startService()
    try:
        await deferLater(reactor, 0.6)
    finally:
        lag.stopService()
        globalLogPublisher.removeObserver(said.append)
    assert [event for event in said if event.get("log_namespace") == "bittwist.app.lag.LoopLag"] == []
