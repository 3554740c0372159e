"""`twistd bittwist-peer`: its options, and the service they make."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from twisted.application.service import IService
from twisted.python.usage import Options as TwistdOptions

from bittwist.app.clock import use_monotonic
from bittwist.app.compose import PeerConfig, check_add, peer_service
from bittwist.app.ending import end_in_time
from bittwist.app.plainly import tell_plainly
from bittwist.app.settings import read_settings
from bittwist.app.tracker_tap import check_endpoints


class Options(TwistdOptions):
    """What stands on the command line wins over the file. What cannot be used is a ConfigError."""

    synopsis = "[--config FILE] [--listen ENDPOINT]... [--state DIR] [--downloads DIR] [--add SOURCE]..."
    longdesc = (
        "A BitTorrent peer that keeps its torrents across restarts. ENDPOINT is a Twisted endpoint string, "
        "such as tcp:6881; SOURCE is a torrent file, a URL or a magnet link."
    )
    optParameters = [  # noqa: RUF012  # as Twisted wants it
        ["config", "c", None, "Read settings from this TOML file; conf/peer.toml shows every key."],
        ["state", None, None, "Where what survives a restart is kept."],
        ["downloads", None, None, "Where the files of added torrents go."],
    ]

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # untyped in Twisted
        self.listen: list[str] = []
        self.add: list[str] = []
        self.settings = PeerConfig()
        self._folder = Path.cwd()
        self.file: Path | None = None  # absolute: twistd leaves the folder it was started in (--rundir)

    def opt_listen(self, endpoint: str) -> None:
        """Listen for peers on this endpoint. Can be given more than once."""
        self.listen.append(endpoint)

    def opt_add(self, source: str) -> None:
        """Add this torrent file, URL or magnet link. Can be given more than once."""
        self.add.append(source)

    def postOptions(self) -> None:
        tell_plainly("twistd bittwist-peer")
        config = self["config"]
        self.settings = self._read(config)
        if config is not None:
            self.file = Path(config).absolute()
        theirs = len(self.settings.add) - len(self.add)  # the file's stand first
        check_add(self.settings.add[:theirs], str(config))
        check_add(self.settings.add[theirs:], "command line")
        check_endpoints(
            self.settings.session.listen,
            "command line" if self.listen else str(config),
            "listen" if self.listen else "session.listen",
        )

    def read(self) -> PeerConfig:
        """What the file and the command line say now; ConfigError where the file cannot be used any more."""
        return self._read(self.file)

    def _read(self, file: Path | str | None) -> PeerConfig:
        settings = read_settings(PeerConfig, file) if file is not None else PeerConfig()
        if self.listen:
            settings = replace(settings, session=replace(settings.session, listen=tuple(self.listen)))
        if self["state"] is not None:
            settings = replace(settings, session=replace(settings.session, state_dir=Path(self["state"])))
        if self["downloads"] is not None:
            settings = replace(settings, downloads=Path(self["downloads"]))
        settings = replace(settings, add=settings.add + tuple(self.add))
        return settings.anchored(self._folder)  # those of the file are whole already


def makeService(options: Options) -> IService:
    """The service twistd runs."""
    from twisted.internet import reactor

    use_monotonic(reactor)
    end_in_time(reactor)
    return peer_service(reactor, options.settings, options.read if options.file is not None else None)
