"""A program for test_moving: seeds a torrent and moves it; started again, it goes on with what it finds.

Arguments: the state folder, the torrent file, where its files are, and where they are to be. With a fifth,
"stay", it waits for what makes it fail to pass, for as long as that takes.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater, react

from bittwist.discovery.lsd import LsdSettings
from bittwist.errors import SessionError
from bittwist.metainfo.metainfo import Metainfo
from bittwist.session import Session, SessionSettings, Torrent
from bittwist.session.lifecycle import State

RETRY = 1.0  # seconds, instead of thirty


async def run(reactor: Any, state: str, torrent_file: str, old: str, new: str, stay: str = "") -> None:
    settings = SessionSettings(
        listen=("tcp:0:interface=127.0.0.1",),
        state_dir=Path(state),
        retry_after=RETRY,
        lsd=LsdSettings(enabled=False),
    )
    session = Session(reactor, settings)
    session.startService()
    try:
        await session.when_listening()
        if session.torrents:
            (torrent,) = session.torrents
        else:
            torrent = await session.add(Metainfo.parse(Path(torrent_file).read_bytes()), old)
        await seeding(reactor, torrent, bool(stay))
        if torrent.save_path != Path(new):
            moving = torrent.move(new)
            print("moving", flush=True)
            try:
                await moving
                print("moved", flush=True)
            except SessionError:
                if not stay:
                    raise
            await seeding(reactor, torrent, bool(stay))
    finally:
        await session.stopService()


async def seeding(reactor: Any, torrent: Torrent, stay: bool) -> None:
    """Wait until it seeds, and say where; say, too, what it fails for."""
    said = ""
    while torrent.state is not State.SEEDING:
        if torrent.state is State.FAILED and torrent.reason != said:
            assert stay, torrent.reason
            said = torrent.reason
            print("failed:", said, flush=True)
        await deferLater(reactor, 0.01)
    print("seeding in", torrent.save_path, flush=True)


if __name__ == "__main__":
    react(lambda reactor: Deferred.fromCoroutine(run(reactor, *sys.argv[1:])))
