"""A peer inside a program: fetch what a torrent file names, then leave the swarm.

Run it with `python fetch.py TORRENT FOLDER`.
"""

import sys
from pathlib import Path

from twisted.internet import defer, task

from bittwist.metainfo.metainfo import Metainfo
from bittwist.session import Session, SessionSettings


async def main(reactor, torrent_file, folder):
    session = Session(reactor, SessionSettings())
    session.startService()
    try:
        torrent = await session.add(Metainfo.parse(Path(torrent_file).read_bytes()), Path(folder))
        await torrent.when_complete()
        print(f"{torrent.name}: {torrent.statistics().done} bytes")
    finally:
        await session.stopService()


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python fetch.py TORRENT FOLDER")
    task.react(lambda reactor: defer.ensureDeferred(main(reactor, *sys.argv[1:])))
