"""What `twistd` finds. Modules are named, not imported: reading this must not choose a reactor."""

from twisted.application.service import ServiceMaker

tracker = ServiceMaker(
    "bittwist tracker",
    "bittwist.app.tracker_tap",
    "A BitTorrent tracker.",
    "bittwist-tracker",
)
peer = ServiceMaker(
    "bittwist peer",
    "bittwist.app.peer_tap",
    "A BitTorrent peer: shares and fetches torrents.",
    "bittwist-peer",
)
