"""Words of the command line that name a torrent, judged before anything is begun.

Imports nothing of Twisted: `show` answers at once.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import urlsplit

import click

from bittwist.errors import MagnetError
from bittwist.metainfo.magnet import Magnet

_TORRENT_FILE = click.Path(exists=True, dir_okay=False)
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
_NOT_SPOKEN = frozenset({"ftp", "ftps", "sftp", "file", "udp", "ws", "wss"})  # known, but nothing we fetch by
_WORD_BEFORE_COLON = re.compile(r"([a-z][a-z0-9+.-]+):", re.IGNORECASE)


def magnet_or_none(word: str) -> Magnet | None:
    """The magnet link, if `word` is meant to be one; click.UsageError where it cannot be used."""
    if word[:7].lower() != "magnet:":
        return None
    try:
        return Magnet.parse(word)
    except MagnetError as error:
        raise click.UsageError(f"not a magnet link that can be used: {error}") from error


def scheme_of(word: str) -> str | None:
    """The scheme of what looks like a URL, in lower case."""
    found = _SCHEME.match(word)
    return found[1].lower() if found else None


def scheme_fault(word: str, folder: Path = Path()) -> str | None:
    """What is wrong with the scheme of a word that should be a file, a magnet link or a URL of http or https.

    A file that is there, in `folder`, may be called like one.
    """
    found = _SCHEME.match(word)
    if found is None and not os.path.lexists(folder / word):
        found = _WORD_BEFORE_COLON.match(word)
    if found is None or found[1].lower() in ("http", "https", "magnet"):
        return None
    if found[1].lower() in _NOT_SPOKEN:
        return f"{found[1].lower()}:// is not spoken: only http:// and https://"
    return f"{found[1][:80]}: is no scheme that is known (magnet, http and https are)"


def check_no_url(word: str) -> None:
    """click.UsageError if `word`, which should be a file's name, is a URL or magnet link."""
    if scheme_of(word) is not None or word[:7].lower() == "magnet:":
        raise click.UsageError(f"a torrent file is wanted here, not {word[:80]!r}")


def check_torrent_file(word: str) -> None:
    """click.UsageError unless `word` names a file that is there and can be read."""
    check_no_url(word)
    _TORRENT_FILE.convert(word, None, None)


def check_source(word: str, chosen: bool) -> None:
    """click.UsageError unless `word` can be what `download` takes: a torrent file, a magnet link or a URL.

    Unless the user has `chosen` files, the choice of a link has to be a choice.
    """
    magnet = magnet_or_none(word)
    if magnet is not None:
        if magnet.choice_fault is not None and not chosen:
            raise click.UsageError(
                f"the link wants only some files, but {magnet.choice_fault} (--files '*' takes all)"
            )
    elif (fault := scheme_fault(word)) is not None:
        raise click.UsageError(fault)
    elif (scheme := scheme_of(word)) is not None:
        check_http(word, scheme)
    else:
        check_torrent_file(word)


def check_tracker(url: str, scheme: str | None) -> None:
    """click.UsageError unless the URL is one that a tracker can be asked at."""
    if scheme != "udp":
        check_http(url, scheme)
        return
    try:
        named = bool(urlsplit(url).hostname and urlsplit(url).port)
    except ValueError:
        named = False
    if not named:
        raise click.UsageError(f"{url[:80]!r} is not udp://HOST:PORT")


def check_http(url: str, scheme: str | None) -> None:
    """click.UsageError unless the URL is one of http or https that can be fetched."""
    from bittwist.net.urls import Url

    if scheme is None:
        raise click.UsageError(f"{url[:80]!r} is not a URL")
    if scheme not in ("http", "https"):
        raise click.UsageError(f"{scheme}:// is not spoken: only http:// and https://")
    try:
        Url.parse(url)
    except ValueError as error:
        raise click.UsageError(f"{url[:80]!r} cannot be fetched: {error}") from error
