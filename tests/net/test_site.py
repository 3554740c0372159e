"""The HTTP front: deadlines, caps, and who the client is."""

from __future__ import annotations

from resource import RLIMIT_NOFILE, getrlimit

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import IAddress
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from bittwist.net.site import SiteFront, SiteSettings, make_site


class Echo(Resource):
    """Answers with the client's host and the length of the body; waits where asked to."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[object] = []

    def render(self, request: object) -> object:
        if request.path == b"/wait":  # type: ignore[attr-defined]
            self.waiting.append(request)
            return NOT_DONE_YET
        client = request.getClientAddress()  # type: ignore[attr-defined]
        body = request.content.read()  # type: ignore[attr-defined]
        return f"{getattr(client, 'host', client)} {len(body)}".encode()


class Connection:
    """A client of the front, in memory."""

    def __init__(self, front: SiteFront, address: IAddress | None = None) -> None:
        address = address or IPv4Address("TCP", "192.0.2.1", 1234)
        self.transport = StringTransport(peerAddress=address)
        self.protocol = front.buildProtocol(address)
        if self.protocol is not None:
            self.protocol.makeConnection(self.transport)

    def send(self, data: bytes) -> bytes:
        assert self.protocol is not None
        self.protocol.dataReceived(data)
        return self.said()

    def said(self) -> bytes:
        said: bytes = self.transport.value()
        self.transport.clear()
        return said

    @property
    def closed(self) -> bool:
        return bool(self.transport.disconnecting or self.transport.disconnected)

    gone = False

    def lose(self) -> None:
        from twisted.internet.error import ConnectionDone
        from twisted.python.failure import Failure

        assert self.protocol is not None
        self.gone = True
        self.protocol.connectionLost(Failure(ConnectionDone()))


class FrontTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.echo = Echo()

    def front(self, **settings: object) -> SiteFront:
        return make_site(self.clock, self.echo, SiteSettings(**settings))  # type: ignore[arg-type]

    def quick(self, **settings: object) -> SiteFront:
        """A front that answers all there is."""
        return make_site(
            self.clock,
            self.echo,
            SiteSettings(**settings),  # type: ignore[arg-type]
            lambda target, host: b"quick",
        )

    def assertNothingLeft(self) -> None:
        self.assertEqual(self.clock.getDelayedCalls(), [])


class DeadlineTests(FrontTestCase):
    def test_a_request_in_time_is_answered(self) -> None:
        connection = Connection(self.front())
        self.assertIn(b"192.0.2.1 0", connection.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
        connection.lose()
        self.assertNothingLeft()

    def test_who_drips_its_headers_is_cut_off_after_ten_seconds_in_all(self) -> None:
        connection = Connection(self.front())
        connection.send(b"GET / HTTP/1.1\r\n")
        for number in range(19):
            self.clock.advance(0.5)
            connection.send(b"X-%d: y\r\n" % number)
            self.assertFalse(connection.closed, number)
        self.clock.advance(0.5)
        self.assertTrue(connection.closed)
        self.assertEqual(connection.send(b"\r\n"), b"", "what comes now comes too late")
        connection.lose()
        self.assertNothingLeft()

    def test_who_drips_its_body_is_cut_off_after_ten_seconds_in_all(self) -> None:
        for framing in (b"Content-Length: 1000", b"Transfer-Encoding: chunked"):
            connection = Connection(self.front())
            connection.send(b"POST / HTTP/1.1\r\nHost: x\r\n" + framing + b"\r\n\r\n")
            for _ in range(9):
                self.clock.advance(1)
                connection.send(b"1\r\nx\r\n")
                self.assertFalse(connection.closed)
            self.clock.advance(1)
            self.assertTrue(connection.closed)
            connection.lose()
            self.assertNothingLeft()

    def test_the_body_has_a_deadline_of_its_own(self) -> None:
        connection = Connection(self.front())
        self.clock.advance(9)
        connection.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n")
        self.clock.advance(9)
        self.assertIn(b"192.0.2.1 2", connection.send(b"ab"))

    def test_further_requests_of_a_kept_connection_have_deadlines_too(self) -> None:
        connection = Connection(self.front())
        connection.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        self.clock.advance(30)
        self.assertFalse(connection.closed, "it is idle, which it may be")
        connection.send(b"GET / HT")
        for _ in range(10):
            self.clock.advance(1)
            connection.send(b"X")
        self.assertTrue(connection.closed)

    def test_an_idle_connection_is_closed(self) -> None:
        connection = Connection(self.front(idle_timeout=60))
        connection.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        self.clock.advance(60)
        self.assertTrue(connection.closed)

    def test_who_never_takes_the_answer_is_cut_off(self) -> None:
        for request in (b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n"):
            connection = Connection(self.front(response_deadline=30))
            connection.send(request)
            connection.protocol.pauseProducing()  # as the transport does that cannot get rid of it
            self.clock.advance(29)
            self.assertFalse(connection.transport.disconnected)
            self.clock.advance(1)
            self.assertTrue(connection.transport.disconnected, "aborted: it would wait to be read otherwise")
            connection.lose()
            self.assertNothingLeft()

    def test_a_connection_that_was_to_close_and_stays_is_cut_off(self) -> None:
        for front in (self.front(response_deadline=5), self.quick(response_deadline=5)):
            connection = Connection(front)
            connection.send(b"GET / HTTP/1.0\r\n\r\n")
            self.assertTrue(connection.transport.disconnecting)
            self.clock.advance(5)
            self.assertTrue(connection.transport.disconnected)
            idle = Connection(front)
            idle.send(b"GET / HTTP/1.1\r\n\r\n")
            self.clock.advance(60)
            self.assertTrue(idle.transport.disconnecting)
            self.assertFalse(idle.transport.disconnected)
            self.clock.advance(5)
            self.assertTrue(idle.transport.disconnected)

    def test_who_takes_the_answer_slowly_but_does_is_kept(self) -> None:
        connection = Connection(self.front(response_deadline=30, idle_timeout=60))
        connection.send(b"GET / HTTP/1.1\r\n\r\n")
        connection.protocol.pauseProducing()
        self.clock.advance(29)
        connection.protocol.resumeProducing()
        self.clock.advance(59)
        self.assertFalse(connection.closed)
        self.clock.advance(1)
        self.assertTrue(connection.closed, "and is idle from then on")

    def test_who_is_asked_about_has_the_deadlines_of_all(self) -> None:
        front = self.quick()
        for words in ((), (b"GET / HT",), (b"GET / HTTP/1.1\r\n\r\n", b"GET ")):
            connection = Connection(front)
            for part in words:
                connection.send(part)
            self.clock.advance(9)
            connection.send(b"X")
            self.clock.advance(1)
            self.assertTrue(connection.closed, words)
            connection.lose()
        self.assertNothingLeft()

    def test_a_slow_answer_of_ours_is_waited_for(self) -> None:
        connection = Connection(self.front())
        connection.send(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
        self.clock.advance(300)
        self.assertFalse(connection.closed)
        self.echo.waiting[0].finish()  # type: ignore[attr-defined]
        self.assertIn(b"200 OK", connection.said())


class BodyTests(FrontTestCase):
    def test_a_body_at_the_limit_is_taken_and_one_byte_more_is_not(self) -> None:
        post = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
        connection = Connection(self.front(max_body=100))
        self.assertIn(b" 100", connection.send(post % 100 + b"x" * 100))
        connection.lose()
        connection = Connection(self.front(max_body=100))
        self.assertTrue(connection.send(post % 101).startswith(b"HTTP/1.1 413 "))
        self.assertTrue(connection.closed)
        self.assertEqual(connection.send(b"x" * 101), b"")
        connection.lose()
        self.assertNothingLeft()

    def test_nobody_is_told_to_go_on_with_a_body_too_big(self) -> None:
        said = Connection(self.front(max_body=100)).send(
            b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 101\r\n\r\n"
        )
        self.assertNotIn(b"100 Continue", said)

    def test_a_chunked_body_is_counted_with_its_framing(self) -> None:
        head = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        small = Connection(self.front(max_body=100)).send(head + b"5\r\nabcde\r\n0\r\n\r\n")
        self.assertIn(b" 5", small)
        connection = Connection(self.front(max_body=100))
        connection.send(head)
        for _ in range(20):
            connection.send(b"1\r\nx\r\n")
        self.assertTrue(connection.closed)

    def test_a_pipelined_request_is_not_a_body(self) -> None:
        connection = Connection(self.front(max_body=10))
        request = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
        self.assertEqual(connection.send(request * 5).count(b"200 OK"), 5)
        self.assertFalse(connection.closed)


class CapTests(FrontTestCase):
    def test_an_address_has_so_many_connections_and_others_have_theirs(self) -> None:
        front = self.front(connections_per_address=2)
        first, second = Connection(front), Connection(front)
        self.assertIsNotNone(second.protocol)
        self.assertIsNone(Connection(front).protocol)
        self.assertIsNotNone(Connection(front, IPv4Address("TCP", "192.0.2.2", 1)).protocol)
        first.lose()
        self.assertIsNotNone(Connection(front).protocol)

    def test_of_ipv6_a_64_counts_as_one_address(self) -> None:
        front = self.front(connections_per_address=2)
        peers = [IPv6Address("TCP", f"2001:db8::{number}", 1) for number in range(1, 4)]
        first, second, third = [Connection(front, peer) for peer in peers]
        self.assertIsNotNone(second.protocol)
        self.assertIsNone(third.protocol)
        self.assertIsNotNone(Connection(front, IPv6Address("TCP", "2001:db8:0:1::1", 1)).protocol)
        first.lose()
        self.assertIsNotNone(Connection(front, peers[2]).protocol)

    def test_a_mapped_address_counts_as_the_ipv4_one(self) -> None:
        front = self.front(connections_per_address=1)
        Connection(front)
        self.assertIsNone(Connection(front, IPv6Address("TCP", "::ffff:192.0.2.1", 1)).protocol)

    def test_a_proxy_we_trust_may_have_any_number(self) -> None:
        front = self.front(connections_per_address=1, trusted_proxies=("192.0.2.0/24",))
        self.assertTrue(all(Connection(front).protocol for _ in range(5)))

    def test_beyond_all_connections_who_makes_us_wait_longest_gives_way(self) -> None:
        front = self.front(max_connections=3)
        dripping, idle, waiting = (Connection(front) for _ in range(3))
        waiting.send(b"GET /wait HTTP/1.1\r\n\r\n")
        idle.send(b"GET / HTTP/1.1\r\n\r\n")
        dripping.send(b"GET /")
        self.clock.advance(2)
        fresh = Connection(front)
        self.assertEqual(self.ended(dripping, idle, waiting, fresh), [True, False, False, False])
        dripping.lose()
        another = Connection(front)
        self.assertEqual(self.ended(idle, waiting, fresh, another), [True, False, False, False])
        idle.lose()
        self.assertEqual(self.ended(fresh, Connection(front)), [True, False], "nobody but who has just come")
        fresh.lose()

    def test_where_all_wait_for_us_who_comes_is_turned_away(self) -> None:
        front = self.front(max_connections=1)
        Connection(front).send(b"GET /wait HTTP/1.1\r\n\r\n")
        self.assertIsNone(Connection(front).protocol)

    def test_a_flood_of_half_requests_leaves_room_for_whole_ones(self) -> None:
        front = self.quick(max_connections=50)
        flood = []
        for number in range(500):
            flood.append(Connection(front, IPv4Address("TCP", f"127.0.{number // 250}.{number % 250}", 1)))
            flood[-1].send(b"GET /ann")
            self.clock.advance(0.01)
            for connection in flood:
                if connection.transport.disconnected and not connection.gone:
                    connection.lose()
            honest = Connection(front)
            self.assertIn(b"quick", honest.send(b"GET / HTTP/1.0\r\n\r\n"))
            honest.lose()
        self.assertGreater(sum(connection.gone for connection in flood), 440)

    def test_the_descriptors_of_the_process_bound_the_connections_too(self) -> None:
        soft, _ = getrlimit(RLIMIT_NOFILE)
        front = self.front(max_connections=10**9)
        front.doStart()
        self.addCleanup(front.doStop)
        self.assertLess(front.room, soft)

    def ended(self, *connections: Connection) -> list[bool]:
        return [connection.transport.disconnected for connection in connections]

    def test_settings_that_make_no_sense_are_refused_by_name(self) -> None:
        for key, value in [
            ("header_deadline", 0),
            ("header_deadline", float("inf")),
            ("header_deadline", float("nan")),
            ("body_deadline", -1),
            ("idle_timeout", 1e30),
            ("max_body", -1),
            ("connections_per_address", 0),
            ("response_deadline", 0),
            ("response_deadline", 2.2e6),
            ("max_connections", 0),
            ("proxy_header", "Via"),
            ("trusted_proxies", ("here",)),
        ]:
            with self.assertRaises(ValueError) as caught:
                SiteSettings(**{key: value})  # type: ignore[arg-type]
            self.assertEqual(caught.exception.args[0], key)


class ClientTests(FrontTestCase):
    def seen(self, front: SiteFront, forwarded: bytes, address: IAddress | None = None) -> bytes:
        request = b"GET / HTTP/1.1\r\nHost: x\r\n" + forwarded + b"\r\n"
        return Connection(front, address).send(request).rpartition(b"\r\n\r\n")[2].rpartition(b" ")[0]

    def test_a_stranger_may_say_what_it_likes(self) -> None:
        self.assertEqual(self.seen(self.front(), b"X-Forwarded-For: 10.0.0.1\r\n"), b"192.0.2.1")

    def test_a_proxy_we_trust_is_believed_for_the_last_it_names(self) -> None:
        front = self.front(trusted_proxies=("192.0.2.1", "10.9.0.0/16"))
        for line, client in {
            b"": b"192.0.2.1",
            b"X-Forwarded-For: 198.51.100.7\r\n": b"198.51.100.7",
            b"X-Forwarded-For: 1.1.1.1, 198.51.100.7\r\n": b"198.51.100.7",
            b"X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For: 198.51.100.7\r\n": b"198.51.100.7",
            b"X-Forwarded-For: 198.51.100.7, 10.9.1.1\r\n": b"198.51.100.7",
            b"X-Forwarded-For: ::ffff:198.51.100.7\r\n": b"198.51.100.7",
            b"X-Forwarded-For: 2001:db8::1\r\n": b"2001:db8::1",
            b"X-Forwarded-For: unknown\r\n": b"192.0.2.1",
            b"X-Forwarded-For: \xff\r\n": b"192.0.2.1",
        }.items():
            self.assertEqual(self.seen(front, line), client, line)

    def test_a_proxy_that_says_so_is_believed_for_forwarded(self) -> None:
        front = self.front(trusted_proxies=("192.0.2.1", "10.9.0.0/16"), proxy_header="Forwarded")
        for line, client in {
            b'Forwarded: for=1.1.1.1, for="[2001:db8::1]:80";proto=http, for=10.9.1.1\r\n': b"2001:db8::1",
            b"Forwarded: for=_hidden\r\n": b"192.0.2.1",
            b"Forwarded: for=198.51.100.7\r\nX-Forwarded-For: 6.6.6.6\r\n": b"198.51.100.7",
            b"X-Forwarded-For: 6.6.6.6\r\n": b"192.0.2.1",  # from the client: the proxy does not set it
        }.items():
            self.assertEqual(self.seen(front, line), client, line)

    def test_a_unix_socket_has_no_host(self) -> None:
        self.assertIn(b"UNIXAddress", self.seen(self.front(), b"", UNIXAddress(b"/x")))
        self.assertIn(
            b"UNIXAddress", self.seen(self.front(), b"X-Forwarded-For: 1.1.1.1\r\n", UNIXAddress(b"/x"))
        )

    def test_a_proxy_at_a_unix_socket_is_believed_where_that_is_said(self) -> None:
        front = self.front(trusted_proxies=("unix", "10.9.0.0/16"))
        for line, client in {
            b"X-Forwarded-For: 198.51.100.7\r\n": b"198.51.100.7",
            b"X-Forwarded-For: 1.1.1.1, 198.51.100.7, 10.9.1.1\r\n": b"198.51.100.7",
        }.items():
            self.assertEqual(self.seen(front, line, UNIXAddress(b"/x")), client, line)
        for line in (b"", b"X-Forwarded-For: unknown\r\n"):
            self.assertIn(b"UNIXAddress", self.seen(front, line, UNIXAddress(b"/x")), line)
        self.assertEqual(self.seen(front, b"X-Forwarded-For: 1.1.1.1\r\n"), b"192.0.2.1")


class LogTests(FrontTestCase):
    def lines(self, front: SiteFront) -> list[str]:
        lines: list[str] = []

        def observe(event: object) -> None:
            lines.append("{client} {method} {path} {status}".format(**event))  # type: ignore[arg-type]

        globalLogPublisher.addObserver(observe)
        try:
            Connection(front).send(b"GET /a?passkey=secret HTTP/1.1\r\nHost: x\r\n\r\n")
        finally:
            globalLogPublisher.removeObserver(observe)
        return lines

    def test_requests_are_not_logged_unless_the_settings_say_so(self) -> None:
        self.assertEqual(self.lines(self.front()), [])

    def test_the_log_leaves_out_the_query(self) -> None:
        self.assertEqual(self.lines(self.front(log_requests=True)), ["192.0.2.1 GET /a 200"])

    def test_starting_and_stopping_leaves_no_clock_running(self) -> None:
        front = self.front()
        front.doStart()
        self.assertNothingLeft()
        front.doStop()
