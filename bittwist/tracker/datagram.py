"""The tracker's UDP front: the ports that are open for announces, as a service (BEP 15)."""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from hashlib import blake2b
from pathlib import Path
from secrets import token_bytes
from typing import cast

from twisted.application.service import Service
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.internet.interfaces import IListeningPort
from twisted.logger import Logger

from bittwist.address import Address, fold, split_host_port
from bittwist.errors import NetworkError
from bittwist.net.policy import Network
from bittwist.tracker.connections import SECRET, ConnectionIds
from bittwist.tracker.secret import read_or_make_secret
from bittwist.tracker.tracked import Tracked
from bittwist.tracker.udp import UdpAnswers, UdpSettings

__all__ = ["Place", "UdpAnswers", "UdpFront", "UdpSettings", "connection_ids", "parse_udp"]

Place = tuple[str, int]
"""An IP address ("": every one of this machine's, of either family) and a port."""

_NO_IPV6 = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EPROTONOSUPPORT)
_log = Logger()


def parse_udp(text: str) -> Place:
    """Read `PORT` or `HOST:PORT` (an IPv6 host in brackets); ValueError for anything else."""
    host, port = split_host_port(f"0.0.0.0:{text}" if ":" not in text else text)
    return ("" if ":" not in text else fold(host)), port


def connection_ids(settings: UdpSettings, wall: Callable[[], float]) -> ConnectionIds:
    """Connection ids as the settings have them. Reads or makes the secret's file: ConfigError."""
    if settings.secret:
        secret = blake2b(settings.secret.encode(), digest_size=SECRET).digest()
    elif settings.secret_file:
        secret = read_or_make_secret(Path(settings.secret_file))
    else:
        secret = token_bytes(SECRET)
    return ConnectionIds(secret, wall, settings.window)


class UdpFront(Service):
    """Opens `places` when it is started (NetworkError where it cannot), and answers there.

    With `shared` other processes can open the same places and answer too; ids of the same secret then.
    """

    def __init__(
        self,
        tracker: Tracked,
        network: Network,
        places: Sequence[Place],
        ids: ConnectionIds,
        settings: UdpSettings | None = None,
        *,
        shared: bool = False,
    ) -> None:
        self.answers: tuple[UdpAnswers, ...] = ()  # one for each open port, with its counts
        self._tracker = tracker
        self._network = network
        self._places = tuple(places)
        self._ids = ids
        self._settings = settings or UdpSettings()
        self._shared = shared
        self._ports: list[IListeningPort] = []

    @property
    def addresses(self) -> tuple[Address, ...]:
        """Where it can be asked."""
        hosts = [cast(IPv4Address | IPv6Address, port.getHost()) for port in self._ports]
        return tuple(Address(host.host, host.port) for host in hosts)

    def startService(self) -> None:
        super().startService()  # type: ignore[no-untyped-call]  # untyped in Twisted
        try:
            for host, port in self._places:
                self._open(host or "0.0.0.0", port)
                if not host:
                    self._open_six(self.addresses[-1].port)
        except NetworkError:
            self.stopService()
            raise
        for address in self.addresses:
            _log.info("announces are taken on udp://{address}", address=address)

    def stopService(self) -> Deferred[None]:
        super().stopService()  # type: ignore[no-untyped-call]  # untyped in Twisted
        ports, self._ports = self._ports, []
        return gatherResults([maybeDeferred(port.stopListening) for port in ports]).addCallback(
            lambda _: None
        )

    def _open_six(self, port: int) -> None:
        try:
            self._open("::", port)
        except NetworkError as problem:
            if getattr(problem.__cause__, "errno", None) not in _NO_IPV6:
                raise

    def _open(self, host: str, port: int) -> None:
        answers = UdpAnswers(self._tracker, self._ids, self._settings)
        wish = self._settings.receive_buffer
        opened = self._network.listen_udp(host, port, answers, shared=self._shared, receive_buffer=wish)
        self._ports.append(opened)
        self.answers = (*self.answers, answers)
