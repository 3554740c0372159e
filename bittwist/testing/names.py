"""Host names in a simulated network: a table, as IReactorPluggableNameResolver sees it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from ipaddress import ip_address

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IAddress, IHostnameResolver, IHostResolution, IResolutionReceiver
from zope.interface import implementer

IPAddress = IPv4Address | IPv6Address


def ip_endpoint(host: str, port: int) -> IPAddress:
    """Twisted's address for an IP address in text and a port."""
    return IPv6Address("TCP", host, port) if ":" in host else IPv4Address("TCP", host, port)


def is_ip(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


class Names:
    """Which addresses a name has; `lookups` counts what was asked, addresses in text left out."""

    def __init__(self) -> None:
        self._table: dict[str, tuple[str, ...]] = {"localhost": ("127.0.0.1", "::1")}
        self.lookups: list[str] = []

    def set(self, name: str, *hosts: str) -> None:
        """From now on `name` has these IP addresses; none for a name that does not exist."""
        self._table[name.lower()] = tuple(str(ip_address(host)) for host in hosts)

    def find(self, name: str) -> tuple[str, ...]:
        """The addresses of `name`, in the order of the table; of an IP address, itself."""
        if is_ip(name):
            return (str(ip_address(name)),)
        self.lookups.append(name)
        return self._table.get(name.lower(), ())

    @property
    def table(self) -> Mapping[str, tuple[str, ...]]:
        return self._table


@implementer(IHostResolution)
class Resolution:
    """A look-up under way."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


@implementer(IHostnameResolver)
class Resolver:
    """Answers from the table in the reactor's next turn, as a real one never answers at once."""

    def __init__(self, names: Names, later: Callable[..., object]) -> None:
        self._names = names
        self._later = later

    def resolveHostName(
        self,
        resolutionReceiver: IResolutionReceiver,
        hostName: str,
        portNumber: int = 0,
        addressTypes: Sequence[type[IAddress]] | None = None,
        transportSemantics: str = "TCP",
    ) -> IHostResolution:
        resolution = Resolution(hostName)
        resolutionReceiver.resolutionBegan(resolution)
        found = [ip_endpoint(host, portNumber) for host in self._names.find(hostName)]
        wanted = tuple(addressTypes) if addressTypes is not None else (IPv4Address, IPv6Address)

        def answer() -> None:
            if resolution.cancelled:
                return
            for address in found:
                if isinstance(address, wanted):
                    resolutionReceiver.addressResolved(address)
            resolutionReceiver.resolutionComplete()

        self._later(0, answer)
        return resolution
