"""The tracker's UDP front over real sockets."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.threads import deferToThread

from bittwist.address import Address
from bittwist.announce.udp import Announce, decode_reply, encode_request
from bittwist.announce.values import AnnounceRequest, ScrapeEntry
from bittwist.errors import NetworkError
from bittwist.net.policy import Network
from bittwist.tracker import Tracker
from bittwist.tracker.datagram import Place, UdpFront, UdpSettings, connection_ids
from tests.udpclient import UdpClient

REQUEST = AnnounceRequest(b"h" * 20, b"p" * 20, 6881, left=1)
T = TypeVar("T")


def front(*places: Place, tracker: Tracker | None = None, shared: bool = False, **settings: str) -> UdpFront:
    chosen = UdpSettings(**settings)
    ids = connection_ids(chosen, time.time)
    made = UdpFront(tracker or Tracker(reactor), Network(reactor), places, ids, chosen, shared=shared)
    made.startService()
    return made


@contextmanager
def client(address: Address) -> Iterator[UdpClient]:
    with closing(UdpClient(address)) as made:
        yield made


def talk(address: Address, say: Callable[[UdpClient], T]) -> T:
    with client(address) as made:
        made.connect()
        return say(made)


@pytest_twisted.ensureDeferred
async def test_both_families_are_served_on_one_port() -> None:
    served = front(("", 0))
    try:
        four, six = served.addresses
        assert (four.host, six.host, four.port) == ("0.0.0.0", "::", six.port)
        for host in ("127.0.0.1", "::1"):
            at = Address(host, four.port)
            first = await deferToThread(talk, at, partial(UdpClient.announce, request=REQUEST))
            other = replace(REQUEST, port=6882)
            second = await deferToThread(talk, at, partial(UdpClient.announce, request=other))
            assert (first.peers, second.peers) == ((), (Address(host, 6881),))
        sizes = await deferToThread(
            talk, Address("127.0.0.1", four.port), lambda made: made.scrape(b"h" * 20)
        )
        assert sizes == (ScrapeEntry(incomplete=4),)
        assert [answers.counts.connects for answers in served.answers] == [3, 2]
    finally:
        await served.stopService()
    assert served.addresses == ()


@pytest_twisted.ensureDeferred
async def test_an_id_outlives_a_restart_where_the_secret_is_kept(tmp_path: Path) -> None:
    secret_file = str(tmp_path / "secret")
    served = front(("127.0.0.1", 0), secret_file=secret_file)
    (at,) = served.addresses
    with client(at) as made:
        await deferToThread(made.connect)
        await served.stopService()
        served = front((at.host, at.port), secret_file=secret_file)
        try:
            await deferToThread(made.announce, REQUEST)
        finally:
            await served.stopService()


@pytest_twisted.ensureDeferred
async def test_a_port_is_had_alone_or_shared() -> None:
    tracker = Tracker(reactor)
    first = front(("127.0.0.1", 0), tracker=tracker, shared=True, secret="s" * 16)
    (at,) = first.addresses
    try:
        with pytest.raises(NetworkError, match="address already in use"):
            front((at.host, at.port))
        second = front((at.host, at.port), tracker=tracker, shared=True, secret="s" * 16)
        for number in range(40):  # the system deals them out by their ports
            asked = replace(REQUEST, port=1 + number)
            await deferToThread(talk, at, partial(UdpClient.announce, request=asked))
        connects = [each.answers[0].counts.connects for each in (first, second)]
        await second.stopService()
        assert sum(connects) == 40 and all(connects)
    finally:
        await first.stopService()


@pytest_twisted.ensureDeferred
async def test_a_burst_is_answered_whole() -> None:
    served = front(("127.0.0.1", 0))
    (at,) = served.addresses

    def burst(made: UdpClient) -> list[int]:
        for number in range(100):  # more than a turn of the reactor reads
            asked = replace(REQUEST, port=1 + number % 50)
            made.socket.send(encode_request(Announce(made.connection_id, b"%04d" % number, asked)))
        replies = [decode_reply(made.socket.recv(4096)) for _ in range(100)]
        return [int(reply.transaction) for reply in replies]

    try:
        assert await deferToThread(talk, at, burst) == list(range(100))
    finally:
        await served.stopService()
