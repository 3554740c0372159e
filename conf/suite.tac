"""A tracker and a peer in one process, on one reactor: `twistd -noy conf/suite.tac`.

Settings are read from tracker.toml and peer.toml beside this file, on SIGHUP again; relative paths in them are from here.
"""

from pathlib import Path

from twisted.application.service import Application
from twisted.internet import reactor

from bittwist.app.clock import use_monotonic
from bittwist.app.compose import PeerConfig, check_add, suite_service
from bittwist.app.ending import end_in_time
from bittwist.app.plainly import tell_plainly
from bittwist.app.settings import read_settings
from bittwist.app.tracker_tap import TrackerConfig

tell_plainly("twistd")
use_monotonic(reactor)
end_in_time(reactor)
here = Path(__file__).absolute().parent


def read_peer() -> PeerConfig:
    return read_settings(PeerConfig, here / "peer.toml")


peer = read_peer()
check_add(peer.add, str(here / "peer.toml"))
application = Application("bittwist")
suite_service(
    reactor,
    read_settings(TrackerConfig, here / "tracker.toml"),
    peer,
    tracker_file=here / "tracker.toml",
    read_peer=read_peer,
).setServiceParent(application)
