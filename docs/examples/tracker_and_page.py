"""A page of your own and a tracker on one port: run it with `python tracker_and_page.py [PORT]`."""

import sys

from twisted.internet import endpoints, reactor
from twisted.web.resource import Resource
from twisted.web.static import Data

from bittwist.tracker import Tracker

root = Resource()
root.putChild(b"", Data(b"<h1>Our files</h1>", "text/html"))
tracker = Tracker(reactor)
tracker.startService()
port = sys.argv[1] if len(sys.argv) > 1 else "8080"
endpoints.serverFromString(reactor, f"tcp:{port}").listen(tracker.site(root=root))
reactor.run()
