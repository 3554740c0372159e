"""twisted.web and treq over the simulated network."""

from __future__ import annotations

from io import BytesIO

import treq
from twisted.internet.defer import Deferred
from twisted.internet.error import DNSLookupError
from twisted.internet.interfaces import IReactorPluggableNameResolver
from twisted.internet.task import Cooperator, deferLater
from twisted.internet.threads import deferToThreadPool
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import Agent, FileBodyProducer, HTTPConnectionPool, readBody
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site
from twisted.web.static import Data
from zope.interface.verify import verifyObject

from bittwist.testing import SimulatedNetwork


class Echo(Resource):
    isLeaf = True

    def render_POST(self, request):
        return request.content.read()

    def render_GET(self, request):
        deferLater(self.reactor, 2.0, request.write, b"late").addCallback(lambda _: request.finish())
        return NOT_DONE_YET


class WebTests(SynchronousTestCase):
    def setUp(self):
        self.network = SimulatedNetwork(random_segments=True)
        self.network.names.set("tracker.example", "10.0.0.1")
        server, self.client = self.network.host("10.0.0.1"), self.network.host("10.0.0.2")
        root = Resource()
        root.putChild(b"big", Data(bytes(1 << 20), "application/octet-stream"))
        echo = Echo()
        echo.reactor = server
        root.putChild(b"echo", echo)
        self.port = server.listenTCP(80, Site(root, reactor=server))
        self.pool = HTTPConnectionPool(self.client, persistent=True)

    def finish(self):
        self.network.result_of(self.pool.closeCachedConnections())
        self.port.stopListening()
        self.network.run_until_quiet()
        self.network.assert_quiet()

    def test_an_agent_fetches_by_name(self):
        async def fetch():
            response = await Agent(self.client).request(b"GET", b"http://tracker.example/big")
            return response.code, await readBody(response)

        code, body = self.network.result_of(Deferred.fromCoroutine(fetch()))
        self.assertEqual((code, len(body)), (200, 1 << 20))
        self.assertEqual(self.network.names.lookups, ["tracker.example"])
        self.finish()

    def test_treq_posts_and_waits_for_a_late_answer(self):
        agent = Agent(self.client, pool=self.pool)
        client = treq.client.HTTPClient(agent)

        async def talk():
            # Given bytes, treq sends them by the global reactor's cooperator.
            cooperator = Cooperator(scheduler=lambda call: self.client.callLater(0, call))
            body = FileBodyProducer(BytesIO(b"x" * 300_000), cooperator)
            posted = await client.post("http://10.0.0.1/echo", data=body, reactor=self.client)
            first = await posted.content()
            late = await client.get("http://10.0.0.1/echo", timeout=10, reactor=self.client)
            return first, await late.content()

        first, late = self.network.result_of(Deferred.fromCoroutine(talk()))
        self.assertEqual((first, late), (b"x" * 300_000, b"late"))
        self.assertGreater(self.network.seconds(), 2.0)
        self.finish()

    def test_a_name_without_addresses(self):
        fetching = Agent(self.client).request(b"GET", b"http://nowhere.example/")
        failure = self.assertRaises(DNSLookupError, self.network.result_of, fetching)
        self.assertIn("nowhere.example", str(failure))
        self.finish()


class ReactorTests(SynchronousTestCase):
    def setUp(self):
        self.host = SimulatedNetwork().host("10.0.0.1")

    def test_work_for_threads_is_done_at_once(self):
        self.assertEqual(
            self.successResultOf(deferToThreadPool(self.host, self.host.getThreadPool(), pow, 2, 5)), 32
        )
        failing = deferToThreadPool(self.host, self.host.getThreadPool(), divmod, 1, 0)
        self.failureResultOf(failing, ZeroDivisionError)

    def test_names_can_be_resolved_by_another(self):
        verifyObject(IReactorPluggableNameResolver, self.host)
        first = self.host.nameResolver
        other = object()
        self.assertIs(self.host.installNameResolver(other), first)
        self.assertIs(self.host.nameResolver, other)

    def test_shutdown_triggers_run_in_their_order(self):
        told = []
        self.host.addSystemEventTrigger("after", "shutdown", told.append, 3)
        self.host.addSystemEventTrigger("before", "shutdown", told.append, 1)
        removed = self.host.addSystemEventTrigger("during", "shutdown", told.append, 0)
        self.host.addSystemEventTrigger("during", "shutdown", told.append, 2)
        self.host.removeSystemEventTrigger(removed)
        self.host.fireSystemEvent("shutdown")
        self.assertEqual(told, [1, 2, 3])

    def test_a_call_cannot_be_due_in_the_past(self):
        self.assertRaises(ValueError, self.host.callLater, -1, print)
