"""The conductor of peers (floor 4): puts wire, swarm, storage and discovery together into a Session.

May import metainfo, wire, announce, swarm, net, peer, storage and discovery; never tracker.
"""

from bittwist.session.session import Session
from bittwist.session.settings import SessionSettings
from bittwist.session.torrent import Torrent

__all__ = ["Session", "SessionSettings", "Torrent"]
