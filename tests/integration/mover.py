"""A program for test_moving: seeds a torrent and moves it; started again, it goes on with what it finds.

Arguments: the state folder, the torrent file, where its files are, and where they are to be.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater, react

from bittwist.discovery.lsd import LsdSettings
from bittwist.metainfo.metainfo import Metainfo
from bittwist.session import Session, SessionSettings
from bittwist.session.lifecycle import State


async def run(reactor: Any, state: str, torrent_file: str, old: str, new: str) -> None:
    settings = SessionSettings(
        listen=("tcp:0:interface=127.0.0.1",), state_dir=Path(state), lsd=LsdSettings(enabled=False)
    )
    session = Session(reactor, settings)
    session.startService()
    try:
        await session.when_listening()
        if session.torrents:
            (torrent,) = session.torrents
        else:
            torrent = await session.add(Metainfo.parse(Path(torrent_file).read_bytes()), old)
        while torrent.state is not State.SEEDING:
            assert torrent.state is not State.FAILED, torrent.reason
            await deferLater(reactor, 0.01)
        print("seeding in", torrent.save_path, flush=True)
        if torrent.save_path != Path(new):
            moving = torrent.move(new)
            print("moving", flush=True)
            await moving
            print("moved", flush=True)
            while torrent.state is not State.SEEDING:
                assert torrent.state is not State.FAILED, torrent.reason
                await deferLater(reactor, 0.01)
            print("seeding in", torrent.save_path, flush=True)
    finally:
        await session.stopService()


if __name__ == "__main__":
    react(lambda reactor: Deferred.fromCoroutine(run(reactor, *sys.argv[1:])))
