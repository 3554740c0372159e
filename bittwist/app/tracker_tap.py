"""`twistd bittwist-tracker`: its options, and the service they make."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from twisted.application.service import IService, MultiService
from twisted.internet.endpoints import serverFromString
from twisted.python.usage import Options as TwistdOptions

from bittwist.app.clock import use_monotonic
from bittwist.app.descriptors import raise_limit
from bittwist.app.ending import end_in_time
from bittwist.app.garbage import collect_seldom
from bittwist.app.plainly import tell_plainly
from bittwist.app.reload import Reload
from bittwist.app.settings import read_settings
from bittwist.app.tracker_config import TrackerConfig
from bittwist.app.tracker_listen import ListenSettings
from bittwist.app.tracker_service import tracker_service
from bittwist.app.tracker_workers import Workers, check_shareable
from bittwist.errors import ConfigError
from bittwist.net.policy import Network
from bittwist.tracker.admission import Admission

__all__ = ["ListenSettings", "Options", "TrackerConfig", "makeService", "tracker_service"]


class Options(TwistdOptions):
    """What stands on the command line wins over the file.

    All is checked before any port is opened; ConfigError, not UsageError: twistd hides the one good line
    below all its options.
    """

    synopsis = (
        "[--config FILE] [--http ENDPOINT]... [--udp [HOST:]PORT]... [--ws ENDPOINT]... [--admin ENDPOINT]"
    )
    longdesc = (
        "A BitTorrent tracker. ENDPOINT is a Twisted endpoint string, such as tcp:6969. Without a file and "
        "without options it listens on port 6969, over HTTP and UDP; as soon as one place is named, only "
        "those that are. An admin port that names no interface is open to this machine alone. On SIGHUP "
        "lists and settings are read again."
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

    def opt_ws(self, endpoint: str) -> None:
        """Serve browsers (WebTorrent, over WebSocket) on this endpoint. Can be given more than once."""
        self.named.setdefault("ws", []).append(endpoint)

    def opt_admin(self, endpoint: str) -> None:
        """Show a status page, metrics, health and the API on this endpoint. Can be given more than once."""
        self.named.setdefault("admin", []).append(endpoint)

    def postOptions(self) -> None:
        tell_plainly("twistd bittwist-tracker")
        if self["config"] is not None:
            self.settings = read_settings(TrackerConfig, self["config"])
        elif self.named:
            self.settings = TrackerConfig(listen=ListenSettings((), ()))
        where = {key: tuple(places) for key, places in self.named.items()}
        try:
            self.settings = replace(self.settings, listen=replace(self.settings.listen, **where))
            if self["workers"] is not None:
                self.settings = replace(self.settings, workers=_number("workers", self["workers"]))
        except ValueError as error:
            raise ConfigError("command line", *error.args) from error
        listen = self.settings.listen
        for key in ("http", "ws", "admin"):
            source = "command line" if key in self.named else str(self["config"])
            check_endpoints(getattr(listen, key), source, f"listen.{key}")
        if self.settings.workers > 1:
            source = "command line" if self["workers"] is not None else str(self["config"])
            check_shareable(listen, self.settings.workers, self.settings.redis, source)


def makeService(options: Options) -> IService:
    """The service twistd runs."""
    from twisted.internet import reactor

    use_monotonic(reactor)
    end_in_time(reactor)
    raise_limit()
    collect_seldom()
    if options.settings.workers > 1:
        return _workers(reactor, options)
    return tracker_service(reactor, options.settings, file=options["config"])


def _workers(reactor: Any, options: Options) -> MultiService:
    config = options.settings
    # Each worker makes its own; what cannot be used is told here, once, before any is started.
    Admission(reactor, config.anchored(Path.cwd()).access, time.time)
    whole = MultiService()
    workers = Workers(reactor, Network(reactor), config.workers, options.words, config.listen)
    workers.setServiceParent(whole)  # type: ignore[no-untyped-call]  # untyped in Twisted
    Reload(reactor, lambda: workers.signal("HUP")).setServiceParent(whole)  # type: ignore[no-untyped-call]
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
