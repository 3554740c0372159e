"""The peers that `--peer` and a magnet link name: who is not found, or not met, is told of by that name."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from bittwist.address import Address, split_host_port
from bittwist.errors import NetworkError
from bittwist.net.policy import Network
from bittwist.session.lookups import LookUps


class Dialed(Protocol):
    """What is asked of a torrent, and for it."""

    def add_peers(self, addresses: Iterable[Address], source: str = ...) -> None: ...
    def trouble(self, address: Address) -> str: ...


class NamedPeers:
    """Owns the look-ups of their names, and what was told of each."""

    def __init__(self, told: Callable[[str, str], None]) -> None:
        """`told` hears HOST:PORT, as it was named, and why nobody is met there."""
        self._told = told
        self._addresses: dict[str, tuple[Address, ...]] = {}
        self._not_found: dict[str, str] = {}  # and why
        self._why: dict[str, str] = {}  # as told last
        self._look_ups = LookUps()

    def dial(self, network: Network, torrent: Dialed, peers: Iterable[str], source: str = "manual") -> None:
        """Have the torrent dial each HOST:PORT, named by that kind of source."""
        for peer in peers:
            host, port = split_host_port(peer)

            def found(hosts: tuple[str, ...], peer: str = peer, port: int = port) -> None:
                self._addresses[peer] = tuple(Address(host, port) for host in hosts)
                torrent.add_peers(self._addresses[peer], source)

            def not_found(error: NetworkError, peer: str = peer) -> None:
                # Told by `look`, from where an error of who is told reaches somebody.
                self._not_found[peer] = error.reason

            self._look_ups.begin(network, host, found, not_found)

    def look(self, torrent: Dialed) -> None:
        """Tell of those that are not found, or cannot be met at any address of theirs, each reason once."""
        for peer, why in self._not_found.items():
            self._tell(peer, why)
        for peer, addresses in self._addresses.items():
            reasons = [torrent.trouble(address) for address in addresses]
            if all(reasons):
                self._tell(peer, "; ".join(dict.fromkeys(reasons)))

    def _tell(self, peer: str, why: str) -> None:
        if why and why != self._why.get(peer):
            self._why[peer] = why
            self._told(peer, why)

    def stop(self) -> None:
        """Look up no more."""
        self._look_ups.stop()
