"""The HTTP client on the simulated network: good servers and evil ones (SECURITY.md T12, C2, C4, C8)."""

from __future__ import annotations

import gzip
import zlib
from base64 import b64encode

from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from bittwist.errors import FetchError
from bittwist.net.http import MAX_HOPS, HttpClient, HttpResponse, HttpSettings, Purpose
from bittwist.net.line import MAX_HEAD
from bittwist.net.policy import Network, NetworkSettings
from bittwist.testing import Host, SimulatedNetwork
from tests.net.servers import Script, Server, Visit

DEADLINE = 30.0


class HttpCase(SynchronousTestCase):
    """Servers outside (2.2.2.2, 3.3.3.3), on the local network (192.168.1.13), and on this machine."""

    def setUp(self) -> None:
        self.simulation = SimulatedNetwork(random_segments=True)
        self.names = self.simulation.names
        self.here = self.simulation.host("192.168.1.2", "4.4.4.4", "2600::4")
        self.outside = self.simulation.host("2.2.2.2", "2600::2")
        self.elsewhere = self.simulation.host("3.3.3.3")
        self.beside = self.simulation.host("192.168.1.13")
        self.client = HttpClient(self.here, Network(self.here))
        self.servers: list[Server] = []

    def tearDown(self) -> None:
        for host in self.simulation.hosts:
            for port in list(host.open_ports):
                port.stopListening()
        self.simulation.run_until_quiet()
        self.simulation.assert_quiet()

    def serve(self, host: Host, script: Script, port: int = 80) -> Server:
        server = Server(script)
        host.listenTCP(port, server, interface="::" if host in (self.outside, self.here) else "")
        return server

    def get(
        self, url: str, purpose: Purpose = Purpose.TRACKER, limit: int = 1 << 20, **options: object
    ) -> Deferred[HttpResponse]:
        return self.client.get(url, purpose=purpose, limit=limit, deadline=DEADLINE, **options)  # type: ignore[arg-type]

    def fetch(self, url: str, purpose: Purpose = Purpose.TRACKER, **options: object) -> HttpResponse:
        return self.simulation.result_of(self.get(url, purpose, **options), DEADLINE + 1)  # type: ignore[arg-type]

    def refusal(self, url: str, purpose: Purpose = Purpose.TRACKER, **options: object) -> FetchError:
        return self.assertRaises(FetchError, self.fetch, url, purpose, **options)


class FetchTests(HttpCase):
    def test_fetches_a_body(self) -> None:
        server = self.serve(self.outside, lambda visit: visit.answer(b"hello", X_Odd="Ja"))
        response = self.fetch("http://2.2.2.2/announce?info_hash=%2Bv%0A%A1&a=~'()*!")
        self.assertEqual((response.status, response.body, response.headers["x-odd"]), (200, b"hello", "Ja"))
        self.assertEqual(response.url, "http://2.2.2.2/announce?info_hash=%2Bv%0A%A1&a=~'()*!")
        (visit,) = server.visits
        self.assertEqual(visit.target, "/announce?info_hash=%2Bv%0A%A1&a=~'()*!")
        self.assertEqual(visit.headers["host"], "2.2.2.2")
        self.assertTrue(visit.headers["user-agent"].startswith("bittwist/"))

    def test_connections_begin_and_end_without_a_line_in_the_log(self) -> None:
        self.serve(self.outside, lambda visit: visit.answer(b"hello"))
        with capturedLogs() as events:
            self.fetch("http://2.2.2.2/announce")
            self.simulation.run_until_quiet()
        lines = [formatEvent(event) for event in events if "Server" not in formatEvent(event)]
        self.assertEqual(lines, [])

    def test_fetches_from_an_ipv6_literal(self) -> None:
        server = self.serve(self.outside, lambda visit: visit.answer(b"six"), port=81)
        self.assertEqual(self.fetch("http://[2600::2]:81/x").body, b"six")
        self.assertEqual(server.visits[0].headers["host"], "[2600::2]:81")

    def test_fetches_by_name_from_the_bound_address(self) -> None:
        hosts: list[str] = []

        def script(visit: Visit) -> None:
            hosts.append(visit.transport.getPeer().host)
            visit.answer()

        self.names.set("tracker.example", "2600::2", "2.2.2.2")
        self.serve(self.outside, script)
        network = Network(self.here, NetworkSettings(bind="4.4.4.4"))
        self.client = HttpClient(self.here, network)
        self.fetch("http://tracker.example/announce")
        self.assertEqual(hosts, ["4.4.4.4"])

    def test_a_body_may_be_chunked_or_end_with_the_connection(self) -> None:
        def chunked(visit: Visit) -> None:
            visit.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            visit.say(b"3\r\nabc\r\n", b"2;x=y\r\nde\r\n", b"0\r\n\r\n")

        def until_closed(visit: Visit) -> None:
            visit.say(b"HTTP/1.0 200 OK\r\n\r\nabcde")
            visit.transport.loseConnection()

        for port, script in ((80, chunked), (81, until_closed)):
            self.serve(self.outside, script, port)
            self.assertEqual(self.fetch(f"http://2.2.2.2:{port}/").body, b"abcde")

    def test_compressed_bodies_are_inflated(self) -> None:
        for port, (coding, packed) in enumerate(
            (("gzip", gzip.compress(b"abc")), ("deflate", zlib.compress(b"abc")))
        ):
            server = self.serve(
                self.outside,
                lambda visit, coding=coding, packed=packed: visit.answer(packed, Content_Encoding=coding),  # type: ignore[misc]
                port=80 + port,
            )
            self.assertEqual(self.fetch(f"http://2.2.2.2:{80 + port}/").body, b"abc")
            self.assertEqual(server.visits[0].headers["accept-encoding"], "gzip, deflate")

    def test_web_seeds_are_asked_for_bytes_as_they_are(self) -> None:
        server = self.serve(self.outside, lambda visit: visit.answer(b"abc", 206))
        response = self.fetch("http://2.2.2.2/f", Purpose.WEB_SEED, headers=[("Range", "bytes=0-2")])
        self.assertEqual(response.status, 206)
        self.assertEqual(server.visits[0].headers["accept-encoding"], "identity")
        self.assertEqual(server.visits[0].headers["range"], "bytes=0-2")

    def test_a_bad_status_fails_unless_it_is_asked_for(self) -> None:
        self.serve(self.outside, lambda visit: visit.answer(b"no such torrent", 404))
        problem = self.refusal("http://2.2.2.2/x")
        self.assertEqual((problem.reason, problem.status), ("HTTP status 404", 404))
        response = self.fetch("http://2.2.2.2/x", any_status=True)
        self.assertEqual((response.status, response.body), (404, b"no such torrent"))

    def test_the_limit_is_of_the_body(self) -> None:
        self.serve(self.outside, lambda visit: visit.answer(bytes(1000)))
        self.assertEqual(len(self.fetch("http://2.2.2.2/", limit=1000).body), 1000)
        self.assertEqual(
            self.refusal("http://2.2.2.2/", limit=999).reason, "the answer is longer than 999 bytes"
        )

    def test_a_refused_connection_says_so(self) -> None:
        problem = self.refusal("http://2.2.2.2:81/x?passkey=secret")
        self.assertEqual(problem.reason, "connection refused")

    def test_a_name_that_may_look_like_another_is_not_even_looked_up(self) -> None:
        self.assertIn("international", self.refusal("http://xn--trcker-4ve.example/announce").reason)
        self.assertEqual(self.names.lookups, [])

    def test_a_name_that_does_not_exist_says_so(self) -> None:
        self.assertEqual(self.refusal("http://nowhere.example/").reason, "no such host")

    def test_what_is_no_url_fails_without_its_password(self) -> None:
        problem = self.failureResultOf(self.get("ftp://me:secret@h/"), FetchError).value
        self.assertNotIn("secret", str(problem))

    def test_cancelling_closes_the_connection(self) -> None:
        server = self.serve(self.outside, lambda visit: visit.say(b"HTTP/1.1 200 OK\r\n\r\nab"))
        fetching = self.get("http://2.2.2.2/")
        self.simulation.advance(5)
        fetching.cancel()
        self.assertEqual(self.failureResultOf(fetching, FetchError).value.reason, "cancelled")
        self.simulation.advance(1)
        self.assertTrue(server.visits[0].closed)

    def test_cancelling_while_dialing_gives_up(self) -> None:
        self.outside.firewalled = True
        fetching = self.get("http://2.2.2.2/")
        self.simulation.advance(1)
        fetching.cancel()
        self.assertEqual(self.failureResultOf(fetching, FetchError).value.reason, "cancelled")

    def test_only_so_many_at_once(self) -> None:
        server = self.serve(self.outside, lambda visit: None)
        self.client = HttpClient(self.here, Network(self.here), HttpSettings(max_concurrent=2))
        fetching = [self.get("http://2.2.2.2/") for _ in range(3)]
        self.simulation.advance(1)
        self.assertEqual(len(server.visits), 2)
        server.visits[0].answer(b"done")
        self.simulation.advance(1)
        self.assertEqual(len(server.visits), 3)
        for each in fetching:
            each.addErrback(lambda failure: failure.trap(FetchError)).cancel()


class CredentialTests(HttpCase):
    """C8: what belongs to one origin is not told to another."""

    def test_credentials_in_the_url_go_to_its_origin_only(self) -> None:
        home = self.serve(
            self.outside, lambda visit: visit.redirect("/b" if visit.target == "/a" else "http://3.3.3.3/c")
        )
        away = self.serve(self.elsewhere, lambda visit: visit.answer())
        response = self.fetch(
            "http://me:word@2.2.2.2/a", Purpose.TORRENT, headers=[("Cookie", "k=v"), ("X-Mine", "1")]
        )
        basic = "Basic " + b64encode(b"me:word").decode()
        self.assertEqual([visit.headers.get("authorization") for visit in home.visits], [basic, basic])
        self.assertEqual([visit.headers.get("cookie") for visit in home.visits], ["k=v", "k=v"])
        self.assertNotIn("authorization", away.visits[0].headers)
        self.assertNotIn("cookie", away.visits[0].headers)
        self.assertNotIn("referer", away.visits[0].headers)
        self.assertEqual(away.visits[0].headers["x-mine"], "1")
        self.assertNotIn("word", response.url)

    def test_another_port_is_another_origin(self) -> None:
        self.serve(self.outside, lambda visit: visit.redirect("http://2.2.2.2:81/"))
        away = self.serve(self.outside, lambda visit: visit.answer(), port=81)
        self.fetch("http://me:word@2.2.2.2/", Purpose.TORRENT)
        self.assertNotIn("authorization", away.visits[0].headers)

    def test_a_redirect_cannot_bring_credentials(self) -> None:
        self.serve(self.outside, lambda visit: visit.redirect("http://you:them@3.3.3.3/"))
        away = self.serve(self.elsewhere, lambda visit: visit.answer())
        self.fetch("http://2.2.2.2/")
        self.assertNotIn("authorization", away.visits[0].headers)


class RedirectTests(HttpCase):
    def test_five_hops_are_followed_and_six_are_not(self) -> None:
        def script(visit: Visit) -> None:
            left = int(visit.target[1:])
            visit.redirect(f"/{left - 1}") if left else visit.answer(b"here")

        self.serve(self.outside, script)
        self.assertEqual(self.fetch(f"http://2.2.2.2/{MAX_HOPS}").body, b"here")
        for hops in (MAX_HOPS + 1, 10):
            self.assertEqual(self.refusal(f"http://2.2.2.2/{hops}").reason, "more than 5 redirects")

    def test_a_circle_ends(self) -> None:
        server = self.serve(
            self.outside, lambda visit: visit.redirect("/b" if visit.target == "/a" else "/a")
        )
        self.assertEqual(self.refusal("http://2.2.2.2/a").reason, "the redirects run in a circle")
        self.assertEqual(len(server.visits), 2)

    def test_every_redirect_status_is_followed(self) -> None:
        for port, status in enumerate((301, 302, 303, 307, 308), 81):
            self.serve(
                self.outside, lambda visit, status=status: visit.redirect("http://3.3.3.3/", status), port
            )  # type: ignore[misc]
        self.serve(self.elsewhere, lambda visit: visit.answer(b"here"))
        for port in range(81, 86):
            self.assertEqual(self.fetch(f"http://2.2.2.2:{port}/").url, "http://3.3.3.3/")

    def test_a_redirect_without_a_location_is_a_bad_status(self) -> None:
        self.serve(self.outside, lambda visit: visit.answer(b"", 302))
        self.assertEqual(self.refusal("http://2.2.2.2/").status, 302)

    def test_what_a_redirect_says_is_not_read(self) -> None:
        def script(visit: Visit) -> None:
            visit.say(
                b"HTTP/1.1 302 Found\r\nLocation: http://3.3.3.3/\r\nContent-Length: 1000000000\r\n\r\n"
            )

        self.serve(self.outside, script)
        self.serve(self.elsewhere, lambda visit: visit.answer(b"here"))
        self.assertEqual(self.fetch("http://2.2.2.2/").body, b"here")


class ForbiddenAddressTests(HttpCase):
    """Not one connection to an address that a torrent or a redirect may not send us to."""

    def setUp(self) -> None:
        super().setUp()
        self.clouds = self.simulation.host("169.254.169.254")
        self.forbidden = [
            self.serve(host, lambda visit: visit.answer(b"secret"), port)
            for host in (self.here, self.beside, self.clouds)
            for port in (80, 8080)
        ]

    def assert_untouched(self) -> None:
        self.assertEqual([len(server.visits) for server in self.forbidden], [0] * len(self.forbidden))

    def test_redirects_from_outside_stay_outside(self) -> None:
        self.names.set("inside.example", "192.168.1.13")
        locations = [
            *("http://127.0.0.1/announce", "http://[::1]/announce", "http://localhost/announce"),
            *(
                "http://[::ffff:127.0.0.1]/announce",
                "http://192.168.1.13/announce",
                "http://inside.example/announce",
            ),
            *("http://169.254.169.254/latest/meta-data/", "http://0.0.0.0/announce", "http://[::]/announce"),
        ]
        for purpose in Purpose:
            for port, location in enumerate(locations, 8100):
                with self.subTest(location):
                    server = self.serve(self.outside, lambda visit, to=location: visit.redirect(to), port)  # type: ignore[misc]
                    self.assertRegex(
                        self.refusal(f"http://2.2.2.2:{port}/announce", purpose).reason,
                        "redirected from outside|not an address",
                    )
                    self.assertEqual(len(server.visits), 1)
                    for listening in list(self.outside.open_ports):
                        listening.stopListening()
        self.assert_untouched()

    def test_redirects_out_and_back_in_stay_outside(self) -> None:
        self.serve(self.outside, lambda visit: visit.redirect("http://3.3.3.3/announce"))
        self.serve(self.elsewhere, lambda visit: visit.redirect("http://127.0.0.1/announce"))
        self.assertIn("redirected from outside", self.refusal("http://2.2.2.2/announce").reason)
        self.assert_untouched()

    def test_redirects_to_other_schemes_are_not_followed(self) -> None:
        for port, location in enumerate(
            ("file:///etc/passwd", "ftp://3.3.3.3/", "gopher://3.3.3.3/", "data:,x"), 81
        ):
            self.serve(self.outside, lambda visit, to=location: visit.redirect(to), port)  # type: ignore[misc]
            self.assertIn("only http and https", self.refusal(f"http://2.2.2.2:{port}/").reason)

    def test_a_local_tracker_is_asked_for_announces_only(self) -> None:
        for path in ("/", "/x", "/unusual-announce-path", "/latest/meta-data/"):
            for host in ("127.0.0.1", "localhost", "[::1]", "192.168.1.13", "169.254.169.254", "0.0.0.0"):
                with self.subTest(host + path):
                    self.refusal(f"http://{host}:8080{path}")
        self.assert_untouched()
        self.assertEqual(self.fetch("http://127.0.0.1:8080/announce?x").body, b"secret")

    def test_a_decimal_address_is_the_address_it_stands_for(self) -> None:
        self.names.set("2130706433", "127.0.0.1")  # what getaddrinfo makes of it
        self.assertIn("127.0.0.1 is a local address", self.refusal("http://2130706433/x").reason)
        self.assert_untouched()

    def test_a_name_that_changes_its_address_after_the_first_look_up(self) -> None:
        """DNS rebinding: what is checked is what is connected to."""
        self.serve(self.outside, lambda visit: self.rebind(visit))
        self.names.set("rebind.example", "2.2.2.2")
        self.assertIn("redirected from outside", self.refusal("http://rebind.example/announce").reason)
        self.assert_untouched()

    def rebind(self, visit: Visit) -> None:
        self.names.set("rebind.example", "127.0.0.1")
        visit.redirect("/announce?again")

    def test_a_name_that_changes_at_every_look_up(self) -> None:
        fickle = self.here.nameResolver

        class Fickle:
            count = 0

            def resolveHostName(inner, receiver: object, name: str, *rest: object) -> object:
                inner.count += 1
                self.names.set(name, "2.2.2.2" if inner.count % 2 else "127.0.0.1")
                return fickle.resolveHostName(receiver, name, *rest)  # type: ignore[arg-type]

        self.here.installNameResolver(Fickle())  # type: ignore[arg-type]
        self.serve(self.outside, lambda visit: visit.answer(b"outside"))
        answers = []
        for _ in range(10):
            try:
                answers.append(self.fetch("http://fickle.example/x").body)
            except FetchError as problem:
                answers.append(problem.reason[:9].encode())
        self.assertEqual(answers, [b"outside", b"127.0.0.1"] * 5)
        self.assert_untouched()

    def test_of_a_names_addresses_only_the_allowed_are_tried(self) -> None:
        self.names.set("both.example", "127.0.0.1", "192.168.1.13", "2.2.2.2")
        self.serve(self.outside, lambda visit: visit.answer(b"outside"))
        self.assertEqual(self.fetch("http://both.example/x").body, b"outside")
        self.assert_untouched()

    def test_the_user_may_type_a_local_url(self) -> None:
        for host in ("127.0.0.1", "localhost", "192.168.1.13"):
            self.assertEqual(self.fetch(f"http://{host}:8080/a.torrent?x", Purpose.TORRENT).body, b"secret")


class WebSeedTests(HttpCase):
    """Web seeds may be on the local network, but nothing is said to them there, and nobody is sent there."""

    def setUp(self) -> None:
        super().setUp()
        self.names.set("nas.example", "192.168.1.13")
        self.local = self.serve(self.beside, lambda visit: visit.answer(b"a piece"))
        self.serve(self.elsewhere, lambda visit: visit.answer(b"a piece"))

    def test_a_local_one_is_asked_without_a_query(self) -> None:
        for host in ("192.168.1.13", "nas.example"):
            self.assertEqual(self.fetch(f"http://{host}/f", Purpose.WEB_SEED).body, b"a piece")
            self.assertIn("no query is sent", self.refusal(f"http://{host}/f?a=b", Purpose.WEB_SEED).reason)
        self.assertEqual([visit.target for visit in self.local.visits], ["/f", "/f"])

    def test_one_outside_may_send_elsewhere_outside_only(self) -> None:
        for port, (location, reached) in enumerate(
            (
                ("http://3.3.3.3/f?a=b", True),
                ("http://192.168.1.13/f", False),
                ("http://nas.example/f", False),
                ("file:///etc/passwd", False),
                ("http://2.2.2.2:84/f", False),  # itself
            ),
            80,
        ):
            with self.subTest(location):
                self.serve(self.outside, lambda visit, to=location: visit.redirect(to), port)  # type: ignore[misc]
                if reached:
                    self.assertEqual(
                        self.fetch(f"http://2.2.2.2:{port}/f", Purpose.WEB_SEED).body, b"a piece"
                    )
                else:
                    self.refusal(f"http://2.2.2.2:{port}/f", Purpose.WEB_SEED)
        self.assertEqual(self.local.visits, [])


class EvilAnswerTests(HttpCase):
    """Each ends within the deadline, with a sentence, and with little memory spent."""

    def assert_ends(self, script: Script, reason: str, limit: int = 100_000) -> None:
        server = self.serve(self.outside, script)
        began = self.simulation.seconds()
        self.assertIn(reason, self.refusal("http://2.2.2.2/announce", limit=limit).reason)
        self.assertLessEqual(self.simulation.seconds() - began, DEADLINE)
        self.simulation.advance(1)
        self.assertTrue(server.visits[0].closed)
        self.assertLess(self.here.received_bytes, 3 * limit + MAX_HEAD + (1 << 20))

    def drip(self, visit: Visit, part: bytes, every: float) -> None:
        if not visit.closed:
            visit.say(part)
            self.outside.callLater(every, self.drip, visit, part, every)

    def test_a_server_that_never_answers(self) -> None:
        self.assert_ends(lambda visit: None, "no whole answer within 30 s")

    def test_a_host_that_drops_what_is_sent(self) -> None:
        self.outside.firewalled = True
        self.assertEqual(self.refusal("http://2.2.2.2/").reason, "connection timed out")

    def test_a_byte_a_second_of_head(self) -> None:
        self.assert_ends(lambda visit: self.drip(visit, b"H", 1), "no whole answer")

    def test_a_byte_a_second_of_body(self) -> None:
        def script(visit: Visit) -> None:
            visit.say(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
            self.drip(visit, b"x", 1)

        self.assert_ends(script, "no whole answer")

    def test_slow_redirects_share_one_deadline(self) -> None:
        def script(visit: Visit) -> None:
            self.outside.callLater(9, visit.redirect, f"/announce{len(visit.target)}")

        self.assert_ends(script, "no whole answer within 30 s")

    def test_an_endless_body(self) -> None:
        def script(visit: Visit) -> None:
            visit.say(b"HTTP/1.1 200 OK\r\n\r\n")
            self.drip(visit, bytes(50_000), 0.1)

        self.assert_ends(script, "longer than 100000 bytes")

    def test_a_body_said_to_be_huge(self) -> None:
        def script(visit: Visit) -> None:
            visit.say(b"HTTP/1.1 200 OK\r\nContent-Length: 10737418240\r\n\r\n")
            self.drip(visit, bytes(50_000), 0.1)

        self.assert_ends(script, "longer than 100000 bytes")

    def test_a_gzip_bomb(self) -> None:
        bomb = gzip.compress(bytes(50 << 20))  # 1:1000
        self.assert_ends(
            lambda visit: visit.answer(bomb, Content_Encoding="gzip"), "longer than 100000 bytes"
        )

    def test_a_gzip_bomb_in_a_gzip_bomb(self) -> None:
        bomb = gzip.compress(gzip.compress(bytes(10 << 20)))
        self.assert_ends(
            lambda visit: visit.answer(bomb, Content_Encoding="gzip, gzip"), "content encoding 'gzip, gzip'"
        )

    def test_endless_header_lines(self) -> None:
        def script(visit: Visit) -> None:
            visit.say(b"HTTP/1.1 200 OK\r\n")
            self.drip(visit, b"X: y\r\n" * 5000, 0.1)

        self.assert_ends(script, "head is longer than")

    def test_one_endless_header_line(self) -> None:
        def script(visit: Visit) -> None:
            visit.say(b"HTTP/1.1 200 OK\r\nX: ")
            self.drip(visit, b"y" * 20_000, 0.1)

        self.assert_ends(script, "")

    def test_endless_informational_answers(self) -> None:
        self.assert_ends(
            lambda visit: self.drip(visit, b"HTTP/1.1 100 Continue\r\n\r\n" * 1000, 0.1), "head is longer"
        )

    def test_a_chunk_bomb(self) -> None:
        def script(visit: Visit) -> None:
            visit.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFF\r\n")
            self.drip(visit, bytes(50_000), 0.1)

        self.assert_ends(script, "longer than 100000 bytes")

    def test_one_byte_chunks(self) -> None:
        def script(visit: Visit) -> None:
            visit.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            self.drip(visit, b"1\r\nx\r\n" * 5000, 0.1)

        self.assert_ends(script, "longer than 10000 bytes", limit=10_000)

    def test_an_endless_chunk_extension(self) -> None:
        def script(visit: Visit) -> None:
            visit.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;")
            self.drip(visit, b"x" * 1000, 0.1)

        self.assert_ends(script, "")

    def test_endless_trailers(self) -> None:
        def script(visit: Visit) -> None:
            visit.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n")
            self.drip(visit, b"X: y\r\n" * 5000, 0.1)

        self.assert_ends(script, "")

    def test_a_truncated_body(self) -> None:
        def script(visit: Visit) -> None:
            visit.say(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
            visit.transport.loseConnection()

        self.assert_ends(script, "closed before the whole answer came")

    def test_a_connection_closed_without_a_word(self) -> None:
        self.assert_ends(
            lambda visit: visit.transport.loseConnection(), "closed before the whole answer came"
        )

    def test_what_is_not_http(self) -> None:
        for port, junk in enumerate(
            (b"SSH-2.0-x\r\n\r\n", b"\0" * 100 + b"\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n"), 81
        ):
            self.serve(self.outside, lambda visit, junk=junk: visit.say(junk), port)  # type: ignore[misc]
            self.assertEqual(self.refusal(f"http://2.2.2.2:{port}/").reason, "the answer is not HTTP")

    def test_contradicting_lengths(self) -> None:
        self.assert_ends(
            lambda visit: visit.say(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
            "",
        )

    def test_a_plain_server_where_tls_was_expected(self) -> None:
        self.serve(self.outside, lambda visit: None, 443)
        greeting = Server(lambda visit: None)
        greeting.buildProtocol = lambda addr: Greeter()  # type: ignore[assignment,method-assign,return-value]
        self.outside.listenTCP(444, greeting, interface="::")
        self.assertIn("TLS", self.refusal("https://2.2.2.2:444/").reason)


class Greeter(Visit):
    def __init__(self) -> None:
        super().__init__(lambda visit: None)

    def connectionMade(self) -> None:
        self.say(b"220 hello, this is not TLS\r\n")
