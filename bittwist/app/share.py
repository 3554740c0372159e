"""A file or folder shared by one process: its tracker, its torrent file over HTTP, and its first seed."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any
from urllib.parse import quote

import click
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.interfaces import IListeningPort
from twisted.internet.threads import deferToThreadPool
from twisted.web.resource import Resource
from twisted.web.server import Site
from twisted.web.static import Data

from bittwist.address import Address
from bittwist.app.giving import checked, seeding_session
from bittwist.app.making import make_torrent
from bittwist.app.own_address import own_address
from bittwist.app.port import Port, opened, with_hint
from bittwist.app.report import Report
from bittwist.app.transfer import STOPPING, Goal, seeding
from bittwist.app.watch import Watch
from bittwist.errors import BitTwistError, NetworkError
from bittwist.metainfo.create import CreateOptions
from bittwist.metainfo.magnet import Magnet
from bittwist.metainfo.metainfo import Metainfo
from bittwist.net.addresses import address_of
from bittwist.net.policy import Network
from bittwist.net.site import make_site
from bittwist.session import Session
from bittwist.storage.locate import locate
from bittwist.tracker import Tracker, TrackerSettings

TORRENT_TYPE = "application/x-bittorrent"
LOOPBACK = "127.0.0.1"
EVERYWHERE = {4: "0.0.0.0", 6: "::"}  # on most systems the second takes IPv4 as well


async def share(reactor: Any, path: Path, host: str, port: Port, http_port: int, report: Report) -> int:
    """Share `path`, as reached by `host`, until cancelled; the exit code."""
    everywhere = EVERYWHERE[6 if ":" in host else 4]
    tracker = Tracker(reactor, TrackerSettings(seeds_meet_seeds=True))  # for aria2, see there
    tracker.startService()
    session: Session | None = None
    listening: IListeningPort | None = None
    over = Event()  # tells the hashing threads to give up
    try:
        root = Resource()
        listening = await _open(reactor, everywhere, http_port, make_site(reactor, root))
        base = f"http://{Address(host, address_of(listening.getHost()).port)}"
        metainfo = await _made(reactor, path, f"{base}/announce", over)
        url = _serve(root, tracker, metainfo, base)
        located = locate(metainfo.info, path)
        session = seeding_session(reactor, replace(port, anywhere=everywhere).settings(), located)
        session.startService()
        report.listening(await opened(session))
        torrent = await session.add(metainfo, located.root, force=True)
        await checked(reactor, torrent, path)
        for line in ("To fetch it elsewhere:", "", f"    bittwist download {shlex.quote(url)}", ""):
            report.say(line)
        for line in ("or open this link in any client:", "", f"    {Magnet.of(metainfo)}", ""):
            report.say(line)
        await seeding(reactor, torrent, Goal(), Watch(report))
        return 0
    except CancelledError:
        report.say(STOPPING)
        raise
    except BitTwistError as error:
        report.failed(str(error))
        return 1
    finally:
        over.set()
        try:
            report.close()
        finally:
            await _stop(session, listening, tracker)


async def _stop(session: Session | None, listening: IListeningPort | None, tracker: Tracker) -> None:
    """In this order: the session still takes leave of the tracker."""
    try:
        if session is not None:
            await session.stopService()
    finally:
        try:
            if listening is not None:
                await maybeDeferred(listening.stopListening)
        finally:
            await tracker.stopService()


async def _made(reactor: Any, path: Path, announce: str, over: Event) -> Metainfo:
    """The torrent of `path`; when cancelled, waits until no thread writes progress any more."""
    options = CreateOptions(trackers=((announce,),))
    making = deferToThreadPool(
        reactor,
        reactor.getThreadPool(),
        lambda: make_torrent(path, path.resolve().name, 0, options, cancelled=over.is_set),
    )
    made: Deferred[Metainfo] = Deferred()
    making.addBoth(made.callback)
    try:
        return await made
    except CancelledError:
        over.set()
        await making
        raise


def _serve(root: Resource, tracker: Tracker, metainfo: Metainfo, base: str) -> str:
    """Put the tracker and the torrent file where they can be fetched; the torrent file's URL."""
    name = f"{metainfo.info.name}.torrent"
    root.putChild(b"announce", tracker.resource())
    root.putChild(b"scrape", tracker.resource())
    root.putChild(name.encode("utf-8", "surrogateescape"), Data(metainfo.encode(), TORRENT_TYPE))
    return f"{base}/{quote(name)}"


async def _open(reactor: Any, everywhere: str, port: int, site: Site) -> IListeningPort:
    try:
        return await Network(reactor).listen(everywhere, port, site)
    except NetworkError as error:
        raise NetworkError(error.target, with_hint(error.reason, "--http-port")) from error


def found_address() -> str:
    """An address of this machine; loopback, and a word about it on standard error, where it has no other."""
    found = own_address()
    if found is None:
        click.echo(
            f"No address of this machine was found but {LOOPBACK}, which others cannot reach: "
            "if it has one, give it with --address.",
            err=True,
        )
        return LOOPBACK
    return found
