"""`twistd bittwist-tracker`: its options, and the service they make."""

from __future__ import annotations

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

_log = Logger()


@dataclass(frozen=True, slots=True)
class TrackerConfig:
    """What a tracker's file can say: where it listens (Twisted endpoint strings), and its rooms' settings."""

    http: tuple[str, ...] = ("tcp:6969",)
    tracker: TrackerSettings = field(default_factory=TrackerSettings)
    site: SiteSettings = field(default_factory=SiteSettings)


class Options(TwistdOptions):
    """What stands on the command line wins over the file.

    All is checked before any port is opened; ConfigError, not UsageError: twistd hides the one good line
    below all its options.
    """

    synopsis = "[--config FILE] [--http ENDPOINT]..."
    longdesc = "A BitTorrent tracker. ENDPOINT is a Twisted endpoint string, such as tcp:6969 (the default)."
    optParameters = [  # noqa: RUF012  # as Twisted wants it
        ["config", "c", None, "Read settings from this TOML file; conf/tracker.toml shows every key."],
    ]

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # untyped in Twisted
        self.http: list[str] = []
        self.settings = TrackerConfig()

    def opt_http(self, endpoint: str) -> None:
        """Listen for announces on this endpoint. Can be given more than once."""
        self.http.append(endpoint)

    def postOptions(self) -> None:
        tell_plainly("twistd bittwist-tracker")
        if self["config"] is not None:
            self.settings = read_settings(TrackerConfig, self["config"])
        if self.http:
            self.settings = replace(self.settings, http=tuple(self.http))
        check_endpoints(self.settings.http, "command line" if self.http else str(self["config"]), "http")


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
    for description in config.http:
        front = make_site(reactor, tracker.resource(), config.site)
        listening = StreamServerEndpointService(_Opened(network, description), front)
        # Twisted would log that a port cannot be opened and go on; a tracker nobody reaches shall not start.
        listening._raiseSynchronously = True
        listening.setServiceParent(whole)
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
