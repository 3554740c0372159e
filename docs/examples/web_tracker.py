"""A tracker inside a web site: `/announce` and `/scrape` beside pages of your own.

Run it with `twistd --nodaemon --python web_tracker.py`; it listens on port 8080.
"""

from twisted.application import service, strports
from twisted.internet import reactor
from twisted.web.resource import Resource
from twisted.web.server import Site
from twisted.web.static import Data

from bittwist.tracker import Tracker, TrackerSettings

application = service.Application("a site with a tracker")
tracker = Tracker(reactor, TrackerSettings(interval=900))
tracker.setServiceParent(application)

root = Resource()
root.putChild(b"", Data(b"<h1>Our files</h1>", "text/html"))
for name in (b"announce", b"scrape"):
    root.putChild(name, tracker.resource())
strports.service("tcp:8080", Site(root)).setServiceParent(application)
