"""`twistd bittwist-tracker`: its options, and the service they make."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import Any

from twisted.application.internet import StreamServerEndpointService
from twisted.application.service import IService, MultiService
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IListeningPort, IProtocolFactory, IStreamServerEndpoint
from twisted.logger import Logger
from twisted.python.usage import Options as TwistdOptions
from zope.interface import implementer

from bittwist.address import Address
from bittwist.app.clock import use_monotonic
from bittwist.app.plainly import tell_plainly
from bittwist.app.settings import read_settings
from bittwist.errors import ConfigError
from bittwist.net.policy import Network
from bittwist.net.site import SiteSettings, make_site
from bittwist.tracker import Tracker, TrackerSettings
from bittwist.tracker.datagram import UdpFront, connection_ids, parse_udp
from bittwist.tracker.udp import UdpSettings

_log = Logger()


@dataclass(frozen=True, slots=True)
class ListenSettings:
    """Where a tracker is asked: `http` are Twisted endpoint strings, `udp` is PORT or HOST:PORT."""

    http: tuple[str, ...] = ("tcp:6969",)
    udp: tuple[str, ...] = ("6969",)

    def __post_init__(self) -> None:
        for place in self.udp:
            try:
                parse_udp(place)
            except ValueError as error:
                raise ValueError("udp", f"{place!r} is neither PORT nor HOST:PORT") from error


@dataclass(frozen=True, slots=True)
class TrackerConfig:
    """What a tracker's file can say: where it listens, and its rooms' settings."""

    listen: ListenSettings = field(default_factory=ListenSettings)
    tracker: TrackerSettings = field(default_factory=TrackerSettings)
    site: SiteSettings = field(default_factory=SiteSettings)
    udp: UdpSettings = field(default_factory=UdpSettings)


class Options(TwistdOptions):
    """What stands on the command line wins over the file.

    All is checked before any port is opened; ConfigError, not UsageError: twistd hides the one good line
    below all its options.
    """

    synopsis = "[--config FILE] [--http ENDPOINT]... [--udp [HOST:]PORT]..."
    longdesc = (
        "A BitTorrent tracker. ENDPOINT is a Twisted endpoint string, such as tcp:6969. Without a file and "
        "without options it listens on port 6969, over HTTP and UDP; as soon as one place is named, only "
        "those that are."
    )
    optParameters = [  # noqa: RUF012  # as Twisted wants it
        ["config", "c", None, "Read settings from this TOML file; conf/tracker.toml shows every key."],
    ]

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # untyped in Twisted
        self.named: dict[str, list[str]] = {}
        self.settings = TrackerConfig()

    def opt_http(self, endpoint: str) -> None:
        """Take announces over HTTP on this endpoint. Can be given more than once."""
        self.named.setdefault("http", []).append(endpoint)

    def opt_udp(self, place: str) -> None:
        """Take announces over UDP on this PORT or HOST:PORT. Can be given more than once."""
        self.named.setdefault("udp", []).append(place)

    def postOptions(self) -> None:
        tell_plainly("twistd bittwist-tracker")
        if self["config"] is not None:
            self.settings = read_settings(TrackerConfig, self["config"])
        elif self.named:
            self.settings = TrackerConfig(ListenSettings((), ()))
        where = {key: tuple(places) for key, places in self.named.items()}
        try:
            self.settings = replace(self.settings, listen=replace(self.settings.listen, **where))
        except ValueError as error:
            raise ConfigError("command line", *error.args) from error
        source = "command line" if "http" in self.named else str(self["config"])
        check_endpoints(self.settings.listen.http, source, "listen.http")


def makeService(options: Options) -> IService:
    """The service twistd runs."""
    from twisted.internet import reactor

    use_monotonic(reactor)
    return tracker_service(reactor, options.settings)


def tracker_service(reactor: Any, config: TrackerConfig) -> MultiService:
    """A tracker, and a listening service for each of its endpoints. Nothing opens before it is started."""
    whole = MultiService()
    tracker = Tracker(reactor, config.tracker)
    tracker.setServiceParent(whole)  # type: ignore[no-untyped-call]  # untyped in Twisted
    network = Network(reactor)
    for description in config.listen.http:
        site = make_site(reactor, tracker.resource(), config.site)
        listening = StreamServerEndpointService(_Opened(network, description), site)
        # Twisted would log that a port cannot be opened and go on; a tracker nobody reaches shall not start.
        listening._raiseSynchronously = True
        listening.setServiceParent(whole)
    if config.listen.udp:
        places = [parse_udp(place) for place in config.listen.udp]
        ids = connection_ids(config.udp, time.time)
        front = UdpFront(tracker, network, places, ids, config.udp)
        front.setServiceParent(whole)  # type: ignore[no-untyped-call]  # untyped in Twisted
    return whole


def check_endpoints(descriptions: tuple[str, ...], file: str, key: str) -> None:
    """ConfigError for the first that is no endpoint to listen on."""
    from twisted.internet import reactor

    for description in descriptions:
        try:
            serverFromString(reactor, description)
        except Exception as error:  # endpoint parsers are plugins, and raise what they like
            raise ConfigError(file, key, f"{description!r} is no endpoint to listen on ({error})") from error


@implementer(IStreamServerEndpoint)
class _Opened:
    """An endpoint string, opened by the one object that opens things."""

    def __init__(self, network: Network, description: str) -> None:
        self._network = network
        self._description = description

    def listen(self, protocolFactory: IProtocolFactory) -> Deferred[IListeningPort]:
        return self._network.listen_on(self._description, protocolFactory).addCallback(_told)


def _told(port: IListeningPort) -> IListeningPort:
    at = port.getHost()
    where = str(Address(at.host, at.port)) if isinstance(at, IPv4Address | IPv6Address) else str(at)
    _log.info("announces are taken on {where}", where=where)
    return port
