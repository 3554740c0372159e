"""Which peers of a torrent are dialed, and when."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from bittwist.address import Address
from bittwist.errors import BitTwistError, NetworkError, OwnConnection, SessionError
from bittwist.metainfo.infohash import InfoHash
from bittwist.net.policy import Permit, allow_all, reason_of
from bittwist.peer.connector import Connector
from bittwist.peer.protocol import PeerProtocol
from bittwist.swarm.candidates import Candidates

DIALS_AT_ONCE = 16  # of one torrent; the connector bounds the whole session
REFUSED_FOR = 30.0  # seconds until a peer that we had no room for is dialed again


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
        refusal: Permit = allow_all,
    ) -> None:
        """`wanted` says how many peers are missing; whom `refusal` has something against is no candidate."""
        self._clock = clock
        self._connector = connector
        self._info_hash = info_hash
        self._candidates = candidates
        self._wanted = wanted
        self._refusal = refusal
        self._dials: dict[Address, Deferred[PeerProtocol]] = {}
        self._running = False

    @property
    def under_way(self) -> int:
        return len(self._dials)

    def found(self, addresses: Iterable[Address], source: str, detail: str = "") -> int:
        """Dial these too; how many of them are new and kept."""
        now = self._clock.seconds()
        new = sum(
            self._candidates.add(address, source, now, detail)
            for address in addresses
            if self._refusal(address.host) is None
        )
        self.dial()
        return new

    def start(self) -> None:
        self._running = True
        self.dial()

    def stop(self) -> None:
        """Give up the dials under way; they are begun anew by `start`."""
        self._running = False
        dials, self._dials = self._dials, {}
        now = self._clock.seconds()
        for address, dial in dials.items():
            self._candidates.given_up(address, now, 0.0)
            dial.cancel()

    def give_up(self, addresses: Iterable[Address]) -> None:
        """Give up the dials of addresses that are no candidates any more."""
        dials = [dial for address in addresses if (dial := self._dials.pop(address, None)) is not None]
        for dial in dials:
            dial.cancel()

    def dial(self) -> None:
        """Dial as many candidates as are wanted now."""
        while self._running and len(self._dials) < min(DIALS_AT_ONCE, self._wanted()):
            address = self._candidates.next(self._clock.seconds())
            if address is None:
                return
            self._candidates.connecting(address)
            dial = self._dials[address] = self._connector.dial(address, self._info_hash)
            under_way = not dial.called
            over = dial.addCallbacks(
                self._reached, self._missed, callbackArgs=(address, dial), errbackArgs=(address, dial)
            )
            over.addErrback(lambda failure: self._log.failure("A dial failed", failure))
            if under_way:  # else this loop goes on
                over.addCallback(lambda _result: self.dial())

    def _reached(self, _peer: PeerProtocol, address: Address, dial: Deferred[PeerProtocol]) -> None:
        self._is_over(address, dial)

    def _missed(self, failure: Failure, address: Address, dial: Deferred[PeerProtocol]) -> None:
        if not self._is_over(address, dial):
            return  # we gave it up
        now = self._clock.seconds()
        if failure.check(OwnConnection):
            self._candidates.exclude(address)
        elif failure.check(CancelledError):  # the session stops, and with it every dial
            self._candidates.given_up(address, now, 0.0)
        elif failure.check(SessionError):
            self._candidates.given_up(address, now, REFUSED_FOR)
        else:
            assert failure.value is not None
            self._candidates.failed(address, why(failure.value), now)
            failure.trap(BitTwistError)

    def _is_over(self, address: Address, dial: Deferred[PeerProtocol]) -> bool:
        """Whether that dial was still under way."""
        if self._dials.get(address) is not dial:
            return False
        del self._dials[address]
        return True


def why(problem: BaseException) -> str:
    """Why a dial or a connection ended, without the address, which is told beside it."""
    return problem.reason if isinstance(problem, NetworkError) else reason_of(problem)
