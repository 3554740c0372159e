"""The peers that `--peer` names, looked up: one that is not found is told of, not only logged."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from twisted.python.failure import Failure

from bittwist.address import Address, split_host_port
from bittwist.errors import NetworkError
from bittwist.net.policy import Network
from bittwist.session import Torrent


def dial(network: Network, torrent: Torrent, peers: Iterable[str], told: Callable[[str, str], None]) -> None:
    """Have the torrent dial each HOST:PORT; `told` hears of those whose host is not found, and why."""
    for peer in peers:
        host, port = split_host_port(peer)

        def found(hosts: tuple[str, ...], port: int = port) -> None:
            torrent.add_peers([Address(host, port) for host in hosts])

        def not_found(failure: Failure, peer: str = peer) -> None:
            failure.trap(NetworkError)
            assert isinstance(failure.value, NetworkError), "it was trapped"
            told(peer, failure.value.reason)

        network.resolve(host).addCallback(found).addErrback(not_found)
