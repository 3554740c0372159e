"""Who sent a bad block: proof only, never suspicion (SECURITY.md, rule 5).

Three things prove a host guilty, and each needs its own bytes to be wrong:

- a piece that came whole from it failed its hash;
- a piece passed, and a block that the host gave to an earlier, failed attempt at it is not the
  block that passed;
- it gave two different blocks in the same place to two failed attempts.

A piece that failed with blocks of several hosts is *suspect*: it is to be fetched whole from one
of them (`choose`), so that the next attempt proves something, whichever way it ends. To have been
there when pieces failed costs a host its turn in `choose`, and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bittwist.metainfo.geometry import BLOCK

MAX_ATTEMPTS = 4  # failed attempts at one piece that are remembered; older ones go
MAX_DIGESTS = 1 << 16  # block digests remembered in all (about 8 MiB); the oldest pieces' go
MAX_HOSTS = 4096  # hosts whose failures are counted; the oldest go

UNKNOWN = ""  # stands for a giver that cannot be named: never blamed


@dataclass(frozen=True, slots=True)
class _Attempt:
    """What a failed attempt at a piece was made of: block number → who gave it, and its digest."""

    blocks: dict[int, tuple[str, bytes]]


class Blame:
    """Remembers the failed pieces of one torrent until they pass."""

    def __init__(self) -> None:
        self._attempts: dict[int, list[_Attempt]] = {}  # by piece
        self._digests = 0
        self._failures: dict[str, int] = {}  # how many failed pieces each host had a block in

    def failed(
        self, index: int, contributions: Mapping[int, str], digests: Sequence[bytes] | None
    ) -> tuple[str, ...]:
        """A piece failed that these hosts gave, by `begin`: who is proven guilty by that.

        `digests` are of its blocks, in order; None where they are not known.
        """
        hosts = tuple(host for host in dict.fromkeys(contributions.values()) if host != UNKNOWN)
        for host in hosts:
            self._failures[host] = self._failures.pop(host, 0) + 1
        while len(self._failures) > MAX_HOSTS:
            del self._failures[next(iter(self._failures))]
        if len(hosts) == 1 and UNKNOWN not in contributions.values():
            return hosts
        blocks = {}
        if digests is not None:
            for begin, host in contributions.items():
                if host != UNKNOWN:
                    blocks[begin // BLOCK] = (host, digests[begin // BLOCK])
        guilty = self._inconsistent(index, blocks)
        self._remember(index, _Attempt(blocks))
        return guilty

    def passed(self, index: int, digests: Sequence[bytes]) -> tuple[str, ...]:
        """A suspect piece passed, its blocks having these digests: who gave others to earlier attempts."""
        return tuple(
            dict.fromkeys(
                host
                for attempt in self._forget(index)
                for number, (host, digest) in attempt.blocks.items()
                if digest != digests[number]
            )
        )

    def suspect(self, index: int) -> bool:
        """Whether to fetch the piece whole from one peer, and to take its digests when it passes."""
        return index in self._attempts

    def choose(self, index: int, holders: Sequence[str]) -> str:
        """Whom to fetch a suspect piece from: not in its failures, in the fewest of any, the first."""
        involved = {host for attempt in self._attempts.get(index, ()) for host, _ in attempt.blocks.values()}
        return min(holders, key=lambda host: (host in involved, self._failures.get(host, 0)))

    def forget(self, index: int) -> None:
        """What is known of a piece proves nothing any more: it was checked again, or came from elsewhere."""
        self._forget(index)

    def _inconsistent(self, index: int, blocks: Mapping[int, tuple[str, bytes]]) -> tuple[str, ...]:
        guilty = []
        for attempt in self._attempts.get(index, ()):
            for number, (host, digest) in attempt.blocks.items():
                again = blocks.get(number)
                if again is not None and again[0] == host and again[1] != digest:
                    guilty.append(host)
        return tuple(dict.fromkeys(guilty))

    def _remember(self, index: int, attempt: _Attempt) -> None:
        attempts = self._attempts.pop(index, [])
        attempts.append(attempt)
        self._digests += len(attempt.blocks)
        if len(attempts) > MAX_ATTEMPTS:
            self._digests -= len(attempts.pop(0).blocks)
        while self._digests > MAX_DIGESTS and self._attempts:
            self._forget(next(iter(self._attempts)))
        self._attempts[index] = attempts

    def _forget(self, index: int) -> list[_Attempt]:
        attempts = self._attempts.pop(index, [])
        self._digests -= sum(len(attempt.blocks) for attempt in attempts)
        return attempts
