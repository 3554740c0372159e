"""Ranges over a kept connection, on the simulated network: redirects, stalls, cuts, and what is given up."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from bittwist.errors import FetchError, RangeRefused
from bittwist.net.http import MAX_HOPS, HttpClient
from bittwist.net.lane import LOOK_EVERY, MAX_LINES, RangeLane, Ways
from bittwist.net.policy import Network
from bittwist.net.ranges import Wanted
from bittwist.testing import SimulatedNetwork
from tests.net.fileserver import FileServer, Visitor
from tests.storage.torrents import content_of

SIZE = 500_000
FILE = content_of(SIZE)
URL = "http://2.2.2.2/f"


class LaneTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.simulation = SimulatedNetwork(random_segments=True)
        self.here = self.simulation.host("192.168.1.2", "4.4.4.4")
        self.heard = 0
        self.ways = Ways()
        client = HttpClient(self.here, Network(self.here))
        self.lane = RangeLane(client, self.ways, self.hear)
        self.came: list[bytes] = []

    def hear(self, size: int) -> None:
        self.heard += size

    def tearDown(self) -> None:
        self.lane.close()
        for host in self.simulation.hosts:
            for port in list(host.open_ports):
                port.stopListening()
        self.simulation.advance(1)
        self.simulation.assert_quiet()

    def serve(
        self, script: object = Visitor.give, address: str = "2.2.2.2", files: object = None
    ) -> FileServer:
        server = FileServer(files or {"/f": FILE}, script)  # type: ignore[arg-type]
        self.simulation.host(address).listenTCP(80, server)
        return server

    def begin(self, first: int = 0, length: int = SIZE, url: str = URL) -> Deferred[None]:
        self.came = []
        return self.lane.fetch(Wanted(url, first, length, SIZE), self.came.append)

    def fetch(self, first: int = 0, length: int = SIZE, url: str = URL) -> bytes:
        self.simulation.result_of(self.begin(first, length, url), 300)
        return b"".join(self.came)

    def test_one_range_after_the_other_comes_over_one_connection(self) -> None:
        server = self.serve()
        for first, length in ((0, 100_000), (100_000, 1), (499_999, 1), (7, 300_000)):
            self.assertEqual(self.fetch(first, length), FILE[first : first + length])
        (visitor,) = server.visitors
        self.assertEqual(len(visitor.lines), 4)
        self.assertEqual(visitor.headers["accept-encoding"], "identity")
        self.assertEqual(visitor.headers["range"], "bytes=7-300006")
        self.assertGreater(self.heard, 400_002)

    def test_a_connection_that_the_server_has_closed_meanwhile_is_opened_anew(self) -> None:
        server = self.serve()
        self.fetch(0, 10)
        server.visitors[0].transport.loseConnection()
        self.simulation.advance(1)
        self.assertEqual(self.fetch(10, 10), FILE[10:20])
        self.assertEqual(len(server.visitors), 2)

    def test_an_idle_connection_is_not_kept_for_ever(self) -> None:
        server = self.serve()
        self.fetch(0, 10)
        self.simulation.advance(40)
        self.assertTrue(server.visitors[0].closed)
        self.assertEqual(self.fetch(10, 10), FILE[10:20])

    def test_what_has_come_before_an_error_is_given(self) -> None:
        def script(visitor: Visitor) -> None:
            visitor.head(206, Content_Length="1000", Content_Range=f"bytes 0-999/{SIZE}")
            visitor.transport.write(FILE[:400])
            visitor.transport.loseConnection()

        self.serve(script)
        fetching = self.begin(0, 1000)
        self.simulation.advance(1)
        problem = self.failureResultOf(fetching, FetchError).value
        self.assertEqual(problem.reason, "the connection was closed before the whole answer came")
        self.assertEqual(b"".join(self.came), FILE[:400])

    def test_more_than_was_asked_for_is_refused(self) -> None:
        def script(visitor: Visitor) -> None:
            visitor.head(206, Content_Range=f"bytes 0-9/{SIZE}", Transfer_Encoding="chunked")
            visitor.transport.write(b"b\r\n" + FILE[:11] + b"\r\n0\r\n\r\n")

        self.serve(script)
        problem = self.assertRaises(RangeRefused, self.fetch, 0, 10)
        self.assertEqual(problem.reason, "more bytes came than were asked for")

    def test_less_than_was_asked_for_is_refused(self) -> None:
        def script(visitor: Visitor) -> None:
            visitor.head(206, Content_Range=f"bytes 0-9/{SIZE}", Transfer_Encoding="chunked")
            visitor.transport.write(b"3\r\n" + FILE[:3] + b"\r\n0\r\n\r\n")

        self.serve(script)
        problem = self.assertRaises(RangeRefused, self.fetch, 0, 10)
        self.assertEqual(problem.reason, "7 bytes less came than were asked for")

    def test_cancelling_closes_the_connection_at_any_time(self) -> None:
        for seconds in (0.0, 0.005, 0.015, 0.025, 0.04, 0.2):
            server = self.serve(address=f"2.2.3.{round(seconds * 1000)}")
            self.simulation.host(f"2.2.3.{round(seconds * 1000)}").limit(upload=100_000)
            fetching = self.begin(url=f"http://2.2.3.{round(seconds * 1000)}/f")
            self.simulation.advance(seconds)
            fetching.cancel()
            self.failureResultOf(fetching, CancelledError)
            came = len(self.came)
            self.simulation.advance(5)
            self.assertEqual(len(self.came), came)
            self.assertTrue(all(visitor.closed for visitor in server.visitors))

    def test_a_sink_that_fails_is_told_to_who_asked(self) -> None:
        def broken(data: bytes) -> None:
            raise ZeroDivisionError

        server = self.serve()
        fetching = self.lane.fetch(Wanted(URL, 0, 10, SIZE), broken)
        self.simulation.advance(1)
        self.failureResultOf(fetching, ZeroDivisionError)
        self.assertTrue(server.visitors[0].closed)

    def test_nothing_is_read_while_it_is_held_and_nobody_is_late_meanwhile(self) -> None:
        self.serve()
        fetching = self.begin()
        self.simulation.host("2.2.2.2").limit(upload=200_000)
        self.simulation.advance(1)
        self.lane.pauseProducing()
        heard = self.heard
        self.assertTrue(0 < heard < SIZE)
        self.simulation.advance(10 * LOOK_EVERY)
        self.assertEqual(self.heard, heard)
        self.lane.resumeProducing()
        self.simulation.result_of(fetching)
        self.assertEqual(b"".join(self.came), FILE)

    def test_what_is_held_before_it_begins_is_not_read(self) -> None:
        self.serve()
        self.lane.pauseProducing()
        fetching = self.begin()
        self.simulation.advance(5 * LOOK_EVERY)
        self.assertEqual(self.heard, 0)
        self.lane.resumeProducing()
        self.simulation.result_of(fetching)

    # Who does not go on

    def late(self, script: object) -> str:
        server = self.serve(script)
        fetching = self.begin()
        self.simulation.advance(2 * LOOK_EVERY + 1)
        problem = self.failureResultOf(fetching, FetchError).value
        self.assertNotIsInstance(problem, RangeRefused)
        self.assertTrue(all(visitor.closed for visitor in server.visitors))
        return problem.reason

    def test_no_answer(self) -> None:
        self.assertEqual(self.late(lambda visitor: None), "no answer within 30 s")

    def test_no_connection(self) -> None:
        self.simulation.host("2.2.2.2").firewalled = True
        self.assertEqual(self.late(lambda visitor: None), "connection timed out")

    def test_a_head_byte_by_byte(self) -> None:
        def drip(visitor: Visitor) -> None:
            if not visitor.closed:
                visitor.transport.write(b"H")
                self.simulation.clock.callLater(0.1, drip, visitor)

        self.assertEqual(self.late(drip), "no answer within 30 s")

    def test_a_body_byte_by_byte(self) -> None:
        def drip(visitor: Visitor) -> None:
            if not visitor.closed:
                visitor.transport.write(b"x")
                self.simulation.clock.callLater(0.1, drip, visitor)

        def script(visitor: Visitor) -> None:
            visitor.head(206, Content_Range=f"bytes 0-{SIZE - 1}/{SIZE}")
            drip(visitor)

        self.assertEqual(self.late(script), "it goes on by less than 16384 bytes in 30 s")

    def test_an_excuse_byte_by_byte(self) -> None:
        def drip(visitor: Visitor) -> None:
            if not visitor.closed:
                visitor.transport.write(b"x")
                self.simulation.clock.callLater(0.1, drip, visitor)

        def script(visitor: Visitor) -> None:
            visitor.head(500)
            drip(visitor)

        self.assertEqual(self.late(script), "HTTP status 500")

    def test_an_endless_head(self) -> None:
        def pour(visitor: Visitor) -> None:
            visitor.transport.write(b"HTTP/1.1 206 OK\r\n" + b"x: y\r\n" * 100_000)

        self.assertIn("head is longer than", self.late(pour))

    def test_an_endless_head_on_a_connection_that_is_kept(self) -> None:
        def script(visitor: Visitor) -> None:
            if len(visitor.lines) == 1:
                visitor.give()
            else:
                visitor.transport.write(b"HTTP/1.1 206 OK\r\n" + b"x: y\r\n" * 100_000)

        server = self.serve(script)
        self.fetch()
        self.assertRaises(FetchError, self.fetch)
        self.simulation.advance(1)
        self.assertTrue(all(visitor.closed for visitor in server.visitors))
        self.assertLess(self.heard, SIZE + 3 * (128 << 10))

    # Redirects

    def test_a_redirect_is_remembered_by_every_lane_of_the_server(self) -> None:
        server = self.serve(lambda visitor: visitor.redirect("http://3.3.3.3/g"))
        target = self.serve(address="3.3.3.3", files={"/g": FILE})
        self.assertEqual(self.fetch(5, 10), FILE[5:15])
        self.assertEqual(self.fetch(15, 10), FILE[15:25])
        other = RangeLane(HttpClient(self.here, Network(self.here)), self.ways)
        self.simulation.result_of(other.fetch(Wanted(URL, 0, 10, SIZE), self.came.append))
        other.close()
        self.assertEqual((len(server.asked), len(target.asked)), (1, 3))
        self.assertEqual(len(target.visitors), 2)
        self.assertNotIn("referer", target.visitors[0].headers)

    def test_a_password_goes_to_its_own_server_only(self) -> None:
        server = self.serve(
            lambda visitor: visitor.redirect("/b" if visitor.target == "/f" else "http://3.3.3.3/g")
        )
        target = self.serve(address="3.3.3.3", files={"/g": FILE})
        self.fetch(0, 10, "http://me:word@2.2.2.2/f")
        self.assertEqual(server.visitors[0].headers["authorization"], "Basic bWU6d29yZA==")
        self.assertNotIn("authorization", target.visitors[0].headers)

    def test_a_circle_and_a_long_way_are_not_followed(self) -> None:
        server = self.serve(lambda visitor: visitor.redirect(visitor.target))
        problem = self.assertRaises(FetchError, self.fetch)
        self.assertIn("circle", problem.reason)
        server.script = lambda visitor: visitor.redirect(visitor.target + "x")
        server.asked.clear()
        problem = self.assertRaises(FetchError, self.fetch)
        self.assertEqual(problem.reason, f"more than {MAX_HOPS} redirects")
        self.assertEqual(len(server.asked), MAX_HOPS + 1)

    def test_only_the_web_is_redirected_to(self) -> None:
        self.serve(lambda visitor: visitor.redirect("file:///etc/passwd"))
        self.assertIn("only http and https", self.assertRaises(RangeRefused, self.fetch).reason)

    def test_from_outside_nobody_is_sent_inside_nor_by_a_way_that_is_remembered(self) -> None:
        inside = self.serve(address="192.168.1.13")
        server = self.serve(lambda visitor: visitor.redirect("http://host.example/f"))
        self.simulation.names.set("host.example", "3.3.3.3")
        self.serve(address="3.3.3.3")
        self.assertEqual(self.fetch(0, 10), FILE[:10])
        self.simulation.names.set("host.example", "192.168.1.13")
        self.simulation.advance(60)  # no connection is kept
        problem = self.assertRaises(FetchError, self.fetch)
        self.assertIn("redirected from outside", problem.reason)
        self.assertEqual(inside.visitors, [])
        self.assertEqual(len(server.asked), 2, "the way that is remembered, then the way from the beginning")

    def test_the_connections_of_many_redirects_are_not_all_kept(self) -> None:
        hosts = [f"3.3.3.{number}" for number in range(1, 3 * MAX_LINES)]
        servers = [self.serve(address=host, files={"/g": FILE}) for host in hosts]
        places = iter(hosts)
        self.serve(lambda visitor: visitor.redirect(f"http://{next(places)}/g"))
        for number in range(len(hosts)):
            self.fetch(0, 10, f"{URL}{number}")
        self.simulation.advance(0.5)
        self.assertLessEqual(
            sum(not each.closed for server in servers for each in server.visitors), MAX_LINES
        )

    def test_what_is_no_url_is_refused_without_its_password(self) -> None:
        for url in ("ftp://me:word@h/", "http://me:word@h h/", "http://xn--x.example/"):
            problem = self.assertRaises(RangeRefused, self.fetch, url=url)
            self.assertNotIn("word", str(problem))

    def test_errors_say_when_and_do_not_cost_the_connection(self) -> None:
        server = self.serve(lambda visitor: visitor.answer(b"later", 503, Retry_After="20"))
        for _ in range(3):
            problem = self.assertRaises(FetchError, self.fetch)
            self.assertEqual((problem.status, problem.retry_in), (503, 20.0))
        self.assertEqual(len(server.visitors), 1)
        server.script = lambda visitor: visitor.answer(bytes(100_000), 500)
        self.assertRaises(FetchError, self.fetch)
        self.simulation.advance(1)
        self.assertTrue(server.visitors[0].closed, "its excuse was too long")
