"""Which URLs of a torrent or magnet link are kept (BEP 12, BEP 15, BEP 17, BEP 19)."""

from __future__ import annotations

import re
from collections.abc import Iterable

MAX_URLS = 500  # trackers, or web seeds, of one torrent; honest lists have at most a few dozen
MAX_URL = 2048  # bytes; longer ones are no tracker's

# Whether an address may be contacted is decided at the connection; here only the form counts.
_TRACKER = re.compile(r"(?:https?|udp|wss?)://[^\s\x00-\x20\x7f]+", re.IGNORECASE)
_WEB_SEED = re.compile(r"https?://[^\s\x00-\x20\x7f]+", re.IGNORECASE)


def tracker_urls(candidates: Iterable[str]) -> tuple[str, ...]:
    """Those that have the form of an http, https, udp or WebTorrent tracker's URL."""
    return _kept(candidates, _TRACKER)


def web_seed_urls(candidates: Iterable[str]) -> tuple[str, ...]:
    """Those that have the form of an http or https URL; spaces in them are percent-encoded."""
    return _kept((url.strip().replace(" ", "%20") for url in candidates), _WEB_SEED)


def _kept(candidates: Iterable[str], form: re.Pattern[str]) -> tuple[str, ...]:
    kept = []
    for candidate in candidates:
        url = candidate.strip()
        if len(url) <= MAX_URL and form.fullmatch(url):
            kept.append(url)
            if len(kept) == MAX_URLS:
                break
    return tuple(kept)
