"""A superseeding seed as a program that says what it gives: TORRENT FOLDER --bind HOST --port PORT.

Beside what `bittwist seed --json` says there is one event, `spread`: the bytes given when a peer first has
everything.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall, react

from bittwist.metainfo.metainfo import Metainfo
from bittwist.session import Session, SessionSettings
from bittwist.session.torrent import Torrent

LOOK = 0.005  # seconds between looks at the peers


def say(**event: object) -> None:
    print(json.dumps(event), flush=True)


class Watch:
    """Tells once when superseeding is over."""

    def __init__(self, torrent: Torrent) -> None:
        self._torrent = torrent
        self._looking = LoopingCall(self._look)

    def start(self) -> Deferred[Any]:
        return self._looking.start(LOOK)

    def _look(self) -> None:
        if not self._torrent.superseeding:
            say(event="spread", uploaded=self._torrent.tally.uploaded)
            self._looking.stop()


async def seed(reactor: Any, chosen: argparse.Namespace) -> None:
    metainfo = Metainfo.parse(chosen.torrent.read_bytes())
    session = Session(reactor, SessionSettings(listen_host=chosen.bind, ports=(chosen.port,)))
    session.startService()
    reactor.addSystemEventTrigger("before", "shutdown", session.stopService)
    address = await session.when_listening()
    torrent = await session.add(metainfo, chosen.folder, force=True)
    torrent.set_superseeding(True)
    await torrent.when_complete()
    say(event="listening", address=address.host, port=address.port)
    say(event="complete", path=str(chosen.folder))
    await Watch(torrent).start()
    await Deferred()  # until it is stopped


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("torrent", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--bind", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    chosen = parser.parse_args()
    react(lambda reactor: Deferred.fromCoroutine(seed(reactor, chosen)))


if __name__ == "__main__":
    main()
