"""Makes the protocols of peers, in both roles, for any number of torrents (BEP 3)."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IAddress, IProtocolFactory, IReactorTime
from twisted.internet.protocol import Factory

from bittwist.errors import RemoteProtocolError
from bittwist.metainfo.infohash import InfoHash
from bittwist.net.addresses import address_of
from bittwist.net.policy import Permit, allow_all
from bittwist.net.throttle import Allowances, no_limits
from bittwist.peer.callbacks import Lookup
from bittwist.peer.protocol import PeerProtocol
from bittwist.peer.settings import PeerSettings
from bittwist.wire.handshake import Handshake

DEFAULTS = PeerSettings()


class PeerFactory(Factory):
    """Owns the connections from outside that have not shaken hands yet."""

    noisy = False

    def __init__(
        self,
        reactor: IReactorTime,
        peer_id: bytes,
        lookup: Lookup,
        *,
        settings: PeerSettings = DEFAULTS,
        allowances: Callable[[str], Allowances] = no_limits,
        refusal: Permit = allow_all,
    ) -> None:
        """`lookup` says who takes a peer of a torrent; None refuses it. `allowances` are those of a host.
        Whom `refusal` has something against cannot connect; whom we dial is the network's business."""
        self.reactor = reactor
        self.peer_id = peer_id
        self.lookup = lookup
        self.settings = settings
        self.allowances = allowances
        self.refusal = refusal
        self._handshaking: dict[PeerProtocol, None] = {}  # incoming ones, oldest first

    def handshake(self, info_hash: InfoHash) -> Handshake:
        """Ours, for that torrent."""
        return Handshake(info_hash.short, self.peer_id, self.settings.reserved)

    def buildProtocol(self, addr: IAddress | None) -> PeerProtocol | None:
        """For a connection from outside; None closes it."""
        if addr is not None and self.refusal(address_of(addr).host) is not None:
            return None
        return PeerProtocol(self, None, None)

    def outgoing(self, info_hash: InfoHash) -> IProtocolFactory:
        """The factory to dial with, for that torrent; it makes no protocol if `lookup` refuses."""
        return _Outgoing(self, info_hash)

    # What the protocols tell.

    def began(self, peer: PeerProtocol) -> None:
        """It awaits its handshake. Where too many from outside do, the oldest goes: honest ones are quick."""
        if not peer.outgoing:
            self._handshaking[peer] = None
            if len(self._handshaking) > self.settings.max_handshaking:
                next(iter(self._handshaking)).close(RemoteProtocolError("too many unfinished handshakes"))

    def ended(self, peer: PeerProtocol) -> None:
        """It is whole, or lost."""
        self._handshaking.pop(peer, None)


class _Outgoing(Factory):
    noisy = False

    def __init__(self, factory: PeerFactory, info_hash: InfoHash) -> None:
        self._factory = factory
        self._info_hash = info_hash

    def buildProtocol(self, addr: IAddress | None) -> PeerProtocol | None:
        callbacks = self._factory.lookup(self._info_hash)
        return None if callbacks is None else PeerProtocol(self._factory, self._info_hash, callbacks)
