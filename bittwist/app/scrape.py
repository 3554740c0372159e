"""Asks trackers about swarms, and prints what they count (BEP 48)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from secrets import token_bytes

import click
from twisted.internet.defer import Deferred, gatherResults

from bittwist.announce.values import ScrapeEntry
from bittwist.app.arguments import check_torrent_file, check_tracker, magnet_or_none, scheme_of
from bittwist.app.run import interruptible
from bittwist.app.torrentfile import read_torrent
from bittwist.app.wording import count, printable
from bittwist.discovery.trackers import TrackerClients
from bittwist.discovery.walk import reason_of
from bittwist.errors import BitTwistError, MagnetError, MetainfoError
from bittwist.metainfo.infohash import InfoHash
from bittwist.net.http import HttpClient
from bittwist.net.policy import Network, NetworkReactor

Question = tuple[str, tuple[InfoHash, ...]]
"""A tracker's announce URL, and the swarms to ask it about."""


def questions(what: str, info_hashes: Sequence[str]) -> tuple[Question, ...]:
    """What the words of the command line ask; MetainfoError, StorageError or click.UsageError otherwise."""
    scheme = scheme_of(what)
    if info_hashes:
        check_tracker(what, scheme)
        return ((what, tuple(_info_hash(text) for text in info_hashes)),)
    if (magnet := magnet_or_none(what)) is not None:
        if not magnet.trackers:
            raise MagnetError("the magnet link names no tracker")
        return tuple((url, (magnet.info_hash,)) for url in magnet.trackers)
    if scheme is not None:
        raise click.UsageError("a tracker's URL needs the info hashes to ask about")
    check_torrent_file(what)
    metainfo = read_torrent(what)
    trackers = [url for tier in metainfo.trackers for url in tier]
    if not trackers:
        raise MetainfoError(f"{what}: the torrent names no tracker")
    return tuple((url, (metainfo.info.info_hash,)) for url in trackers)


def _info_hash(text: str) -> InfoHash:
    try:
        return InfoHash.parse(text)
    except MetainfoError as error:
        raise click.UsageError(str(error)) from error


async def ask(reactor: NetworkReactor, asked: Sequence[Question], as_json: bool) -> int:
    """Ask all trackers at once and print their answers in order; the exit code: 0 where one answered."""
    network = Network(reactor)
    trackers = TrackerClients(reactor, network, HttpClient(reactor, network), token_bytes)
    try:
        answers = await interruptible(_answers(trackers, asked))
    finally:
        await trackers.close()
    for (url, hashes), answer in zip(asked, answers, strict=True):
        if isinstance(answer, BitTwistError):
            _print_failure(url, answer, as_json)
        else:
            _print_entries(url, hashes, answer, as_json)
    return int(all(isinstance(answer, BitTwistError) for answer in answers))


async def _answers(
    trackers: TrackerClients, asked: Sequence[Question]
) -> list[Mapping[bytes, ScrapeEntry] | BitTwistError]:
    return await gatherResults(
        [Deferred.fromCoroutine(_answer(trackers, *question)) for question in asked],
        consumeErrors=True,  # the first is raised
    )


async def _answer(
    trackers: TrackerClients, url: str, hashes: Sequence[InfoHash]
) -> Mapping[bytes, ScrapeEntry] | BitTwistError:
    try:
        return await trackers.client(url).scrape([info_hash.short for info_hash in hashes])
    except BitTwistError as error:
        return error  # one of several trackers; printed in its turn


def _print_failure(url: str, error: BitTwistError, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"tracker": url, "error": reason_of(error)}))
    else:
        click.echo(printable(f"{url}: {reason_of(error)}"), err=True)


def _print_entries(
    url: str, hashes: Sequence[InfoHash], entries: Mapping[bytes, ScrapeEntry], as_json: bool
) -> None:
    for info_hash in hashes:
        entry = entries.get(info_hash.short, ScrapeEntry())
        if as_json:
            counts = {
                "complete": entry.complete,
                "incomplete": entry.incomplete,
                "downloaded": entry.downloaded,
            }
            click.echo(json.dumps({"tracker": url, "info_hash": str(info_hash), **counts}))
        else:
            leeches = "1 leech" if entry.incomplete == 1 else f"{entry.incomplete} leeches"
            click.echo(
                printable(
                    f"{info_hash}  {count(entry.complete, 'seed')}, {leeches}, "
                    f"{count(entry.downloaded, 'download')}  {url}"
                )
            )
