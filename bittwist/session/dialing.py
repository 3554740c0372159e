"""Which peers of a torrent are dialed, and when."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from bittwist.address import Address
from bittwist.errors import BitTwistError
from bittwist.metainfo.infohash import InfoHash
from bittwist.peer.connector import Connector
from bittwist.swarm.candidates import Candidates

DIALS_AT_ONCE = 16  # of one torrent; the connector bounds the whole session


class Dialing:
    """Dials candidates while more peers are wanted."""

    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        connector: Connector,
        info_hash: InfoHash,
        candidates: Candidates,
        wanted: Callable[[], int],
    ) -> None:
        self._clock = clock
        self._connector = connector
        self._info_hash = info_hash
        self._candidates = candidates
        self._wanted = wanted
        self._dials: dict[Address, Deferred[None]] = {}
        self._running = False

    @property
    def under_way(self) -> int:
        return len(self._dials)

    def found(self, addresses: Iterable[Address], source: str) -> None:
        now = self._clock.seconds()
        for address in addresses:
            self._candidates.add(address, source, now)
        self.dial()

    def start(self) -> None:
        self._running = True
        self.dial()

    def stop(self) -> None:
        self._running = False
        dials, self._dials = self._dials, {}
        for dial in dials.values():
            dial.cancel()

    def dial(self) -> None:
        """Dial as many candidates as are wanted now."""
        while self._running and len(self._dials) < min(DIALS_AT_ONCE, self._wanted()):
            address = self._candidates.next(self._clock.seconds())
            if address is None:
                return
            self._candidates.connecting(address)
            dial = self._dials[address] = Deferred.fromCoroutine(self._dial(address))
            dial.addErrback(lambda failure: self._log.failure("A dial failed", failure))

    async def _dial(self, address: Address) -> None:
        try:
            await self._connector.dial(address, self._info_hash)
        except (BitTwistError, CancelledError) as error:
            self._candidates.failed(address, str(error), self._clock.seconds())
        finally:
            self._dials.pop(address, None)
        self.dial()
