"""Dialing peers: a bounded number at once, each until it has shaken hands or failed."""

from __future__ import annotations

from typing import Protocol

from twisted.internet.defer import CancelledError, Deferred, DeferredSemaphore
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IReactorTime
from twisted.python.failure import Failure

from bittwist.address import Address
from bittwist.errors import BitTwistError, NetworkError
from bittwist.metainfo.infohash import InfoHash
from bittwist.net.policy import reason_of
from bittwist.peer.factory import PeerFactory
from bittwist.peer.protocol import PeerProtocol

HALF_OPEN_LIMIT = 64  # handshakes under way at once (B13); routers and firewalls dislike more


class Dialer(Protocol):
    """The one thing asked of a `net.policy.Network`."""

    def dial(
        self, address: Address, factory: IProtocolFactory, *, timeout: float | None = None
    ) -> Deferred[IProtocol]: ...


class Connector:
    """Dials for all torrents of a session. Owns the dials under way and those that wait for their turn."""

    def __init__(
        self,
        reactor: IReactorTime,
        network: Dialer,
        factory: PeerFactory,
        *,
        half_open_limit: int = HALF_OPEN_LIMIT,
        timeout: float = 10.0,
    ) -> None:
        self._network = network
        self._factory = factory
        self._timeout = timeout
        self._places = DeferredSemaphore(half_open_limit)
        self._dials: dict[Deferred[PeerProtocol], None] = {}
        self._stopped = False

    def dial(self, address: Address, info_hash: InfoHash) -> Deferred[PeerProtocol]:
        """Connect to a peer of that torrent; fires when they have shaken hands.

        Fails with NetworkError or RemoteProtocolError; cancelled, it gives the connection up.
        """
        dial = Deferred.fromCoroutine(self._dial(address, info_hash))
        if not dial.called:
            self._dials[dial] = None
            dial.addBoth(self._over, dial)
        return dial

    def stop(self) -> None:
        """Give up every dial, and begin no more."""
        self._stopped = True
        for dial in list(self._dials):
            dial.cancel()

    def _over(self, result: PeerProtocol | Failure, dial: Deferred[PeerProtocol]) -> PeerProtocol | Failure:
        self._dials.pop(dial, None)
        return result

    async def _dial(self, address: Address, info_hash: InfoHash) -> PeerProtocol:
        if self._stopped:
            raise NetworkError(str(address), "no more dialing")
        await self._places.acquire()
        try:
            return await self._shake_hands(address, info_hash)
        finally:
            self._places.release()

    async def _shake_hands(self, address: Address, info_hash: InfoHash) -> PeerProtocol:
        protocol = await self._network.dial(address, self._factory.outgoing(info_hash), timeout=self._timeout)
        assert isinstance(protocol, PeerProtocol)
        try:
            return await protocol.when_handshaken()
        except BitTwistError:
            raise
        except CancelledError:
            protocol.close(NetworkError(str(address), "given up"))
            raise
        except Exception as error:  # how the transport says that the connection ended
            raise NetworkError(str(address), f"closed before its handshake: {reason_of(error)}") from error
