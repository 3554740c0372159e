"""One peer over Twisted: the skin of the pure `wire` (BEP 3, 6, 10), dialing and listening.

`PeerFactory` and its `PeerProtocol` serve by themselves in any Twisted program. May import: metainfo, wire,
utp, net, errors, address.
"""

from bittwist.peer.callbacks import Callbacks
from bittwist.peer.factory import PeerFactory
from bittwist.peer.protocol import PeerProtocol
from bittwist.peer.settings import PeerSettings

__all__ = ["Callbacks", "PeerFactory", "PeerProtocol", "PeerSettings"]
