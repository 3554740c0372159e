"""A file or folder shared by one process: its tracker, its torrent file over HTTP, and its first seed."""

from __future__ import annotations

import socket
from pathlib import Path
from threading import Event
from typing import Any
from urllib.parse import quote

import click
from twisted.internet.defer import maybeDeferred
from twisted.internet.threads import deferToThreadPool
from twisted.web.resource import Resource
from twisted.web.static import Data

from bittwist.address import Address
from bittwist.app.report import Report
from bittwist.app.transfer import Goal, Port, checked, seeding, seeding_session
from bittwist.errors import BitTwistError
from bittwist.metainfo.create import CreateOptions
from bittwist.metainfo.magnet import Magnet
from bittwist.metainfo.metainfo import Metainfo
from bittwist.net.policy import Network
from bittwist.net.site import make_site
from bittwist.peer.protocol import address_of
from bittwist.session import Session
from bittwist.storage.hashing import create_torrent
from bittwist.storage.locate import locate
from bittwist.tracker import Tracker, TrackerSettings

TORRENT_TYPE = "application/x-bittorrent"
SOMEWHERE = ("192.0.2.1", 9)  # an address reserved for documentation: asked for the way to it, never sent to


async def share(
    reactor: Any, path: Path, address: str | None, port: Port, http_port: int, report: Report
) -> int:
    """Share `path` until cancelled; the exit code."""
    host = address if address is not None else own_address()
    tracker = Tracker(reactor, TrackerSettings())
    tracker.startService()
    session: Session | None = None
    listening = None
    over = Event()  # tells the hashing threads to give up
    try:
        root = Resource()
        listening = await Network(reactor).listen("0.0.0.0", http_port, make_site(reactor, root))
        base = f"http://{Address(host, address_of(listening.getHost()).port)}"
        metainfo = await deferToThreadPool(
            reactor, reactor.getThreadPool(), _create, path, f"{base}/announce", over
        )
        url = _serve(root, tracker, metainfo, base)
        located = locate(metainfo.info, path)
        session = seeding_session(reactor, port, located)
        session.startService()
        report.listening(await session.when_listening())
        torrent = await session.add(metainfo, located.root)
        await checked(reactor, torrent)
        click.echo("To fetch it elsewhere:\n")
        click.echo(f"    bittwist download {url}\n")
        click.echo(f"or open this link in any client:\n\n    {Magnet.of(metainfo)}\n")
        await seeding(reactor, torrent, Goal(), report)
        return 0
    except BitTwistError as error:
        report.failed(str(error))
        return 1
    finally:
        over.set()
        report.close()
        if session is not None:
            await session.stopService()
        if listening is not None:
            await maybeDeferred(listening.stopListening)
        await tracker.stopService()


def _create(path: Path, announce: str, over: Event) -> Metainfo:
    return create_torrent(path, CreateOptions(trackers=((announce,),)), cancelled=over.is_set)


def _serve(root: Resource, tracker: Tracker, metainfo: Metainfo, base: str) -> str:
    """Put the tracker and the torrent file where they can be fetched; the torrent file's URL."""
    name = f"{metainfo.info.name}.torrent"
    root.putChild(b"announce", tracker.resource())
    root.putChild(b"scrape", tracker.resource())
    root.putChild(name.encode("utf-8", "surrogateescape"), Data(metainfo.encode(), TORRENT_TYPE))
    return f"{base}/{quote(name)}"


def own_address() -> str:
    """The address of the interface that leads out, or loopback where none does. Nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            asking.connect(SOMEWHERE)
        except OSError:
            return "127.0.0.1"
        host: str = asking.getsockname()[0]
        return host
