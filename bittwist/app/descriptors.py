"""Settings cut down to the file descriptors that the system grants the process (SECURITY.md T34).

Connections are cheap to make for others: without a bound they take the descriptors that the disk needs.
"""

from __future__ import annotations

import resource
from dataclasses import replace

from bittwist.session.settings import SessionSettings

OURS = 28  # what Python, the reactor, logs and listening ports have open, and a few to spare
LEAST = 2  # of each kind, however few there are
SHARES = (0.5, 0.15, 0.15, 0.15, 0.05)  # peers, unfinished handshakes, dials, files, fetches


def raise_limit() -> None:
    """As many descriptors as the system grants: what a tracker serves has a bound of its own."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def within_limits(settings: SessionSettings) -> SessionSettings:
    """The settings, as far as the process has descriptors; the soft limit is raised as far as they need."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OURS + sum(_kinds(settings))
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return settings if soft == resource.RLIM_INFINITY else affordable(settings, soft)


def affordable(settings: SessionSettings, descriptors: int) -> SessionSettings:
    """The settings where that many are enough; else each kind of use is kept to its share of them."""
    kinds, there = _kinds(settings), descriptors - OURS
    if sum(kinds) <= there:
        return settings
    shares = (max(LEAST, int(there * share)) for share in SHARES)
    peers, handshakes, dials, files, fetches = map(min, kinds, shares)
    return replace(
        settings,
        max_peers=peers,
        half_open=dials,
        peer=replace(settings.peer, max_handshaking=handshakes),
        disk=replace(settings.disk, open_files=files),
        http=replace(settings.http, max_concurrent=fetches),
    )


def _kinds(settings: SessionSettings) -> tuple[int, int, int, int, int]:
    return (
        settings.max_peers,
        settings.peer.max_handshaking,
        settings.half_open,
        settings.disk.open_files,
        settings.http.max_concurrent,
    )
