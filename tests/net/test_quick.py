"""Plain GETs answered from their bytes."""

from __future__ import annotations

from unittest import TestCase

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource

from bittwist.net.quick import MAX_HEAD, QuickChannel, read_plain
from bittwist.net.site import SiteSettings, make_site

CLOSING = b"GET /a?b HTTP/1.1\r\nConnection: close\r\n\r\n"
KEEPING = b"GET /a?b HTTP/1.1\r\nHost: x\r\n\r\n"


class ReadTests(TestCase):
    def test_a_plain_get(self) -> None:
        plain = read_plain(b"GET /a?b=%20 HTTP/1.1\r\nHost: x\r\nX-A:  b \r\nx-a: c\r\n\r\n")
        assert plain is not None
        self.assertEqual((plain.target, plain.version, plain.is_last), (b"/a?b=%20", b"1.1", False))
        self.assertEqual(plain.values(b"x-a"), [b"b", b"c"])

    def test_the_last_of_its_connection(self) -> None:
        for data in (CLOSING, KEEPING.replace(b"1.1", b"1.0"), CLOSING.replace(b"close", b" CLOSE\t")):
            plain = read_plain(data)
            self.assertTrue(plain is not None and plain.is_last, data)

    def test_what_is_not_plain(self) -> None:
        """Each is a whole request to somebody; tests/tracker/test_channel.py compares the answers."""
        for data in (
            b"",
            KEEPING[:-1],
            KEEPING + b"G",
            KEEPING + KEEPING,
            KEEPING.replace(b"GET", b"HEAD"),
            KEEPING.replace(b"/a", b"a"),
            KEEPING.replace(b"Host", b"Content-Length"),
            KEEPING.replace(b"Host", b"transfer-encoding"),
            KEEPING.replace(b"Host", b"Expect"),
            KEEPING.replace(b"Host: x", b"Connection: upgrade"),
            KEEPING.replace(b"Host: x", b"Connection: close\r\nConnection: close"),
            KEEPING.replace(b"x\r", b"x" * MAX_HEAD + b"\r"),
        ):
            self.assertIsNone(read_plain(data), data)

    @given(st.binary(max_size=100) | st.text("GET /a?b HTTP1.0\r\n:", max_size=60).map(str.encode))
    def test_arbitrary_bytes_are_plain_or_not(self, data: bytes) -> None:
        for whole in (data, CLOSING[:-2] + data + b"\r\n\r\n", b"GET /" + data + b" HTTP/1.0\r\n\r\n"):
            plain = read_plain(whole)
            if plain is not None:
                line = b"GET %b HTTP/%b\r\n" % (plain.target, plain.version)
                self.assertEqual(line + plain.fields, whole)


class Accepted:
    """A socket that was just accepted."""

    def __init__(self, data: bytes, takes: int = 1 << 20) -> None:
        self.data, self.takes = data, takes
        self.sent = b""
        self.closed = False

    def recv(self, size: int, flags: int) -> bytes:
        if not self.data:
            raise BlockingIOError
        data, self.data = self.data[:size], self.data[size:]
        return data

    def send(self, data: bytes, flags: int) -> int:
        if not self.takes:
            raise BlockingIOError
        self.sent += data[: self.takes]
        return min(len(data), self.takes)

    def close(self) -> None:
        self.closed = True


class AcceptTests(SynchronousTestCase):
    """What is there at the accept is answered at the accept."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.asked: list[tuple[bytes, str]] = []
        self.answer: bytes | Deferred[bytes] | None = b"body"
        root = Resource()
        root.putChild(b"a", Slow())
        self.site = make_site(self.clock, root, None, self.quick)
        self.transport = StringTransport(peerAddress=IPv4Address("TCP", "192.0.2.1", 1))

    def quick(self, target: bytes, host: str) -> bytes | Deferred[bytes] | None:
        self.asked.append((target, host))
        return self.answer

    def accept(self, connection: Accepted) -> bytes:
        """What it sends altogether; the rest of the way is a transport's."""
        channel = self.site.buildProtocol(IPv4Address("TCP", "192.0.2.1", 1))
        assert isinstance(channel, QuickChannel)
        if channel.answered(connection):  # type: ignore[arg-type]
            self.assertTrue(connection.closed)
            return connection.sent
        self.assertFalse(connection.closed)
        channel.makeConnection(self.transport)
        if connection.data:
            channel.dataReceived(connection.data)
        return connection.sent + self.transport.value()

    def test_a_whole_request_is_answered_and_closed(self) -> None:
        said = self.accept(Accepted(CLOSING))
        self.assertTrue(said.startswith(b"HTTP/1.1 200 OK\r\nConnection: close\r\n"))
        self.assertTrue(said.endswith(b"\r\n\r\nbody"))
        self.assertEqual(self.asked, [(b"/a?b", "192.0.2.1")])
        self.assertEqual(self.transport.value(), b"", "it met no transport")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_its_place_is_free_again(self) -> None:
        for _ in range(300):
            self.assertIn(b"200 OK", self.accept(Accepted(CLOSING)))

    def test_what_the_socket_does_not_take_at_once_follows(self) -> None:
        whole = self.accept(Accepted(CLOSING))
        for takes in (0, 1, 20, len(whole) - 1):
            self.transport.clear()
            self.assertEqual(self.accept(Accepted(CLOSING, takes)), whole)
        self.assertTrue(self.transport.disconnecting)

    def test_a_connection_to_keep_gets_a_transport(self) -> None:
        self.assertIn(b"200 OK", self.accept(Accepted(KEEPING)))
        self.assertFalse(self.transport.disconnecting)
        self.assertEqual(len(self.asked), 1)

    def test_half_a_request_is_kept_for_the_usual_way(self) -> None:
        self.accept(Accepted(CLOSING[:10]))
        self.assertEqual(self.asked, [])

    def test_more_than_a_head_is_read_to_its_end(self) -> None:
        said = self.accept(Accepted(KEEPING.replace(b"Host", b"X" * 3000)))
        self.assertIn(b"slow", said)

    def test_what_is_declined_goes_to_the_resource(self) -> None:
        self.answer = None
        self.assertIn(b"slow", self.accept(Accepted(CLOSING)))

    def test_what_fails_goes_to_the_resource_and_is_logged(self) -> None:
        def broken(target: bytes, host: str) -> bytes:
            raise RuntimeError("a bug")

        self.site.quick = broken
        self.assertIn(b"slow", self.accept(Accepted(KEEPING)))
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_nothing_yet(self) -> None:
        self.assertEqual(self.accept(Accepted(b"")), b"")
        self.assertEqual(len(self.site.heads), 1)

    def test_an_answer_that_comes_later(self) -> None:
        later = self.answer = Deferred[bytes]()
        self.assertEqual(self.accept(Accepted(CLOSING)), b"")
        later.callback(b"later")
        self.assertTrue(self.transport.value().endswith(b"later"))
        self.assertEqual(len(self.asked), 1)

    def test_a_proxy_at_a_unix_socket_says_whose_request_it_is(self) -> None:
        request = KEEPING.replace(b"Host: x", b"X-Forwarded-For: 198.51.100.7")
        for proxies, asked in (((), []), (("unix",), [(b"/a?b", "198.51.100.7")])):
            site = make_site(self.clock, Slow(), SiteSettings(trusted_proxies=proxies), self.quick)
            channel = site.buildProtocol(UNIXAddress(b"/x"))
            assert channel is not None
            channel.makeConnection(StringTransport(peerAddress=UNIXAddress(b"/x")))
            channel.dataReceived(request)
            self.assertEqual(self.asked, asked)

    def test_a_deferred_that_has_fired_already(self) -> None:
        """As of a hook that answers with `succeed`: the next request of the connection is answered too."""
        channel = self.site.buildProtocol(IPv4Address("TCP", "192.0.2.1", 1))
        assert isinstance(channel, QuickChannel)
        channel.makeConnection(self.transport)
        for _ in range(2):
            self.answer = succeed(b"body")
            channel.dataReceived(KEEPING)
        self.assertEqual(self.transport.value().count(b"body"), 2)


class Slow(Resource):
    isLeaf = True

    def render_GET(self, request: object) -> bytes:
        return b"slow"
