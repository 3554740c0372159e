"""`twistd bittwist-tracker`: its options, and the service they make."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from random import Random
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
from bittwist.app.tracker_workers import MAX_WORKERS, Workers, check_shareable
from bittwist.errors import ConfigError
from bittwist.net.policy import Network
from bittwist.net.site import SiteSettings
from bittwist.tracker import Tracker, TrackerSettings
from bittwist.tracker.datagram import UdpFront, connection_ids, parse_udp
from bittwist.tracker.redis import RedisSettings, RedisSwarms, redis_swarms
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
    redis: RedisSettings = field(default_factory=RedisSettings)
    workers: int = 1  # processes that share the ports, and their swarms by Redis

    def __post_init__(self) -> None:
        if not 1 <= self.workers <= MAX_WORKERS:
            raise ValueError("workers", f"must be 1 to {MAX_WORKERS}")


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
        ["workers", None, None, "Serve by so many processes, which share the ports, and swarms in Redis."],
    ]

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # untyped in Twisted
        self.named: dict[str, list[str]] = {}
        self.settings = TrackerConfig()
        self.words: tuple[str, ...] = ()  # the command line, for workers to read as well

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        self.words = tuple(options or ())
        super().parseOptions(list(self.words))  # type: ignore[no-untyped-call]  # untyped in Twisted

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
            if self["workers"] is not None:
                self.settings = replace(self.settings, workers=_number("workers", self["workers"]))
        except ValueError as error:
            raise ConfigError("command line", *error.args) from error
        source = "command line" if "http" in self.named else str(self["config"])
        listen = self.settings.listen
        check_endpoints(listen.http, source, "listen.http")
        if self.settings.workers > 1:
            source = "command line" if self["workers"] is not None else str(self["config"])
            check_shareable(listen.http, listen.udp, self.settings.redis, source)


def makeService(options: Options) -> IService:
    """The service twistd runs."""
    from twisted.internet import reactor

    use_monotonic(reactor)
    if options.settings.workers > 1:
        return _workers(reactor, options)
    return tracker_service(reactor, options.settings)


def _workers(reactor: Any, options: Options) -> Workers:
    config = options.settings
    places = config.listen
    return Workers(reactor, Network(reactor), config.workers, options.words, places.http, places.udp)


def tracker_service(reactor: Any, config: TrackerConfig, *, shared: bool = False) -> MultiService:
    """A tracker, and a listening service for each of its endpoints. Nothing opens before it is started.

    With `shared` the ports can be open in other processes too.
    """
    whole = MultiService()
    network = Network(reactor)
    store: RedisSwarms | None = None
    if config.redis.servers:
        store = redis_swarms(reactor, network, config.redis, config.tracker, Random())
    tracker = Tracker(reactor, config.tracker, store=store)
    tracker.setServiceParent(whole)  # type: ignore[no-untyped-call]  # untyped in Twisted
    for description in config.listen.http:
        site = tracker.site(config.site)
        listening = StreamServerEndpointService(_Opened(network, description, shared), site)
        # Twisted would log that a port cannot be opened and go on; a tracker nobody reaches shall not start.
        listening._raiseSynchronously = True
        listening.setServiceParent(whole)
    if config.listen.udp:
        places = [parse_udp(place) for place in config.listen.udp]
        ids = connection_ids(config.udp, time.time)
        front = UdpFront(tracker, network, places, ids, config.udp, shared=shared)
        front.setServiceParent(whole)  # type: ignore[no-untyped-call]  # untyped in Twisted
    return whole


def _number(key: str, text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ValueError(key, f"{text!r} is no whole number")
    return int(text)


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

    def __init__(self, network: Network, description: str, shared: bool) -> None:
        self._network = network
        self._description = description
        self._shared = shared

    def listen(self, protocolFactory: IProtocolFactory) -> Deferred[IListeningPort]:
        opened = self._network.listen_on(self._description, protocolFactory, shared=self._shared)
        return opened.addCallback(_told)


def _told(port: IListeningPort) -> IListeningPort:
    at = port.getHost()
    where = str(Address(at.host, at.port)) if isinstance(at, IPv4Address | IPv6Address) else str(at)
    _log.info("announces are taken on {where}", where=where)
    return port
