"""T24, T25: whoever asks the admin port under another name, from another page or without the token."""

from __future__ import annotations

from base64 import b64encode
from random import Random
from urllib.parse import quote

from bittwist.tracker.admin import MAX_BODY, MAX_UPLOAD, AdminSettings
from bittwist.tracker.gate import WRONG_TOKENS, WRONG_WITHIN
from tests.scale import SEED, runs
from tests.tracker.adminport import BEARER, JSON, TOKEN, AdminTestCase, Answer

HEX = (b"h" * 20).hex()
TORRENT = "application/x-bittorrent"
PAGES = ("/", "/status.css", "/stats.json", "/metrics", "/health")
API = (
    ("GET", "/api/torrents", b""),
    ("POST", "/api/torrents", b'{"info_hash": "%b"}' % (b"1" * 40)),
    ("GET", f"/api/torrents/{HEX}", b""),
    ("DELETE", f"/api/torrents/{HEX}", b""),
    ("POST", f"/api/torrents/{HEX}/block", b""),
    ("POST", f"/api/torrents/{HEX}/unblock", b""),
    ("GET", "/api/users", b""),
    ("POST", "/api/users", b'{"name": "eve"}'),
    ("GET", "/api/users/zoefloe", b""),
    ("DELETE", "/api/users/zoefloe", b""),
    ("POST", "/api/users/zoefloe/block", b""),
    ("POST", "/api/users/zoefloe/unblock", b""),
    ("POST", "/api/users/zoefloe/passkey", b""),
)
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "get", "BREW")
DENIED = (
    "evil.example",
    "evil.example:6970",
    "127.0.0.1.evil.example",
    "localhost.evil.example",
    "",
    "[::1",
    "localhost@evil.example",
    "tracker.example:6970:80",
    "2130706433",
)
ALLOWED = (
    "localhost",
    "localhost.",
    "localhost:9091",
    "127.0.0.1",
    "127.0.0.1:9091",
    "[::1]",
    "[::1]:9091",
    "192.168.1.5:9091",
    "tracker.example",
)


class GuardTestCase(AdminTestCase):
    settings = AdminSettings(token=TOKEN, allowed_hosts=("tracker.example",))

    def setUp(self) -> None:
        super().setUp()
        self.passkey = self.successResultOf(self.users.add("zoefloe")).passkey
        self.successResultOf(self.users.add("bob"))
        self.successResultOf(self.users.block("bob"))
        self.announce()
        self.before = self.state()

    def state(self) -> object:
        """All that the API could change."""
        return (
            self.users.list(),
            self.users.of(self.passkey),
            self.torrents.list(),
            self.tracker.store.totals(),
        )

    def unchanged(self, answer: Answer, *statuses: int) -> None:
        self.assertIn(answer.status, statuses)
        self.assertEqual(self.state(), self.before)
        self.assertNotIn(b"zoefloe", answer.body)


class HostTests(GuardTestCase):
    def test_no_route_answers_under_another_name(self) -> None:
        for host in DENIED:
            for path in PAGES:
                self.unchanged(self.ask("GET", path, host=host), 421)
            for method, path, body in API:
                for headers in (JSON, {**BEARER, **JSON}):
                    self.unchanged(self.ask(method, path, headers, body, host=host), 421)
            self.unchanged(self.ask("GET", "/nowhere", host=host), 421)

    def test_every_name_of_ours_is_answered(self) -> None:
        for host in ALLOWED:
            for path in PAGES:
                self.assertEqual(self.ask("GET", path, host=host).status, 200)
            self.assertEqual(self.ask("GET", "/api/users", BEARER, host=host).status, 200)

    def test_a_request_without_a_host_or_with_two_is_refused(self) -> None:
        self.assertEqual(self.talk(b"GET / HTTP/1.0\r\n\r\n").status, 421)
        self.assertEqual(self.talk(b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil\r\n\r\n").status, 421)

    def test_the_name_in_an_absolute_target_does_not_count(self) -> None:
        answer = self.talk(b"GET http://localhost/stats.json HTTP/1.1\r\nHost: evil.example\r\n\r\n")
        self.assertEqual(answer.status, 421)


class TokenTests(GuardTestCase):
    def test_nothing_of_the_api_is_done_without_the_token(self) -> None:
        for method, path, body in API:
            answer = self.ask(method, path, JSON, body)
            self.unchanged(answer, 401)
            self.assertEqual(answer.headers["www-authenticate"], 'bearer realm="tracker"')

    def test_nothing_of_the_api_is_done_with_a_wrong_token(self) -> None:
        wrong = (
            "Bearer wrong",
            "Bearer",
            f"Bearer {TOKEN}x",
            f"Bearer {TOKEN[:-1]}",
            f"Token {TOKEN}",
            TOKEN,
            "Basic " + b64encode(f"admin:{TOKEN}".encode()).decode(),
        )
        for number, credentials in enumerate(wrong):
            for other, (method, path, body) in enumerate(API):
                client = f"10.0.{number}.{other}"
                answer = self.ask(method, path, {**JSON, "Authorization": credentials}, body, client)
                self.unchanged(answer, 401)

    def test_a_token_in_the_query_a_cookie_or_the_body_is_none(self) -> None:
        self.unchanged(self.ask("GET", f"/api/users?token={TOKEN}"), 401)
        self.unchanged(self.ask("GET", "/api/users", {"Cookie": f"token={TOKEN}"}), 401)

    def test_nothing_is_done_for_another_sites_page_even_with_the_token(self) -> None:
        for origin in ("http://evil.example", "null", "http://localhost", "https://localhost:1", "file://"):
            for method, path, body in API:
                headers = {**BEARER, **JSON, "Origin": origin}
                self.unchanged(self.ask(method, path, headers, body), 403)
            for path in PAGES:
                self.unchanged(self.ask("GET", path, {"Origin": origin}), 403)

    def test_our_own_origin_is_nobody_else(self) -> None:
        headers = {**BEARER, "Origin": "http://localhost:6970"}
        self.assertEqual(self.ask("GET", "/api/users", headers).status, 200)

    def test_what_a_form_can_send_is_not_done(self) -> None:
        """A browser sends these types across sites without asking."""
        for kind in (
            "text/plain",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
            "",
        ):
            for method, path, body in API:
                if method == "POST":
                    self.unchanged(self.ask(method, path, {**BEARER, "Content-Type": kind}, body), 415)

    def test_any_other_method_is_refused_and_changes_nothing(self) -> None:
        stated: dict[str, set[str]] = {path: {"GET", "HEAD"} for path in PAGES}
        for method, path, _ in API:
            stated.setdefault(path, set()).update({method, "HEAD"} if method == "GET" else {method})
        for path, taken in stated.items():
            for method in METHODS:
                if method not in taken:
                    answer = self.ask(method, path, {**BEARER, **JSON}, b"")
                    self.unchanged(answer, 405)
                    if method != "HEAD":
                        self.assertEqual(set(answer.headers["allow"].upper().split(", ")), taken, method)

    def test_there_is_no_api_until_a_token_is_set(self) -> None:
        self.start(AdminSettings())
        for headers in (JSON, {**BEARER, **JSON}, {**JSON, "Authorization": "Bearer "}):
            for method, path, body in API:
                answer = self.ask(method, path, headers, body)
                self.assertEqual((answer.status, answer.json), (404, {"error": "not here"}))

    def test_mutated_targets_get_nobody_past_the_token(self) -> None:
        random = Random(SEED)
        pieces = [
            "/",
            "//",
            "api",
            "users",
            "ann",
            "block",
            "..",
            ".",
            "%2f",
            "%2e",
            "%61pi",
            ";",
            "?",
            "#",
            "\\",
        ]
        for _ in range(runs(500, 20_000)):
            target = "/" + "".join(random.choice(pieces) for _ in range(random.randrange(1, 8)))
            method = random.choice(("GET", "POST", "DELETE"))
            answer = self.ask(method, target, JSON, b"", client=f"10.1.{random.randrange(256)}.1")
            self.assertIn(answer.status, (200, 401, 404, 405), target)
            self.assertNotIn(b"zoefloe", answer.body)
        self.assertEqual(self.state(), self.before)


class GuessingTests(GuardTestCase):
    def guess(self, client: str) -> Answer:
        return self.ask("GET", "/api/users", {"Authorization": "Bearer guess"}, client=client)

    def test_five_wrong_tokens_slow_their_address_and_no_other(self) -> None:
        for _ in range(WRONG_TOKENS):
            self.assertEqual(self.guess("192.0.2.1").status, 401)
        answer = self.ask("GET", "/api/users", BEARER, client="192.0.2.1")
        self.unchanged(answer, 429)
        self.assertLessEqual(int(answer.headers["retry-after"]), WRONG_WITHIN + 1)
        self.assertEqual(self.ask("GET", "/api/users", BEARER, client="192.0.2.2").status, 200)
        self.assertEqual(self.ask("GET", "/stats.json", client="192.0.2.1").status, 200)
        self.machine.advance(WRONG_WITHIN)
        self.assertEqual(self.ask("GET", "/api/users", BEARER, client="192.0.2.1").status, 200)

    def test_a_page_in_a_browser_cannot_slow_its_user(self) -> None:
        for _ in range(50):
            self.ask("GET", "/api/users", {"Origin": "http://evil.example", "Authorization": "Bearer guess"})
            self.ask("POST", "/api/users", {"Content-Type": "text/plain"}, b"")
            self.ask("GET", "/api/users", {"Authorization": "Bearer guess"}, host="evil.example")
        self.assertEqual(self.ask("GET", "/api/users", BEARER).status, 200)

    def test_a_long_body_is_no_way_to_guess_faster(self) -> None:
        def upload(credentials: str) -> int:
            headers = {"Content-Type": TORRENT, "Authorization": credentials, "Content-Length": "1000000"}
            return self.ask("POST", "/api/torrents", headers).status

        for _ in range(WRONG_TOKENS):
            self.assertEqual(upload("Bearer guess"), 401)
        self.assertEqual(upload(f"Bearer {TOKEN}"), 401)
        self.machine.advance(WRONG_WITHIN)
        self.assertEqual(upload(f"Bearer {TOKEN}"), 0)  # it is waited for


class PagesWithTokenTests(GuardTestCase):
    settings = AdminSettings(token=TOKEN, token_for_pages=True)

    def test_all_but_health_needs_the_token(self) -> None:
        for path in PAGES:
            self.assertEqual(self.get(path).status, 200 if path == "/health" else 401)
            self.assertEqual(self.ask("GET", path, BEARER).status, 200)

    def test_a_browser_may_ask_its_user_for_it(self) -> None:
        answer = self.get("/")
        self.assertIn("basic", answer.headers["www-authenticate"])
        password = "Basic " + b64encode(f":{TOKEN}".encode()).decode()
        self.assertEqual(self.get("/", Authorization=password).status, 200)
        # Browsers send it again by themselves: for the API that must not do.
        self.unchanged(self.get("/api/users", Authorization=password), 401)


class BodyTests(GuardTestCase):
    def test_bodies_are_bounded_by_route_at_their_limits(self) -> None:
        wants = {**BEARER, **JSON}
        for method, path, _ in API:
            if path != "/api/torrents":
                self.unchanged(self.ask(method, path, {**wants, "Content-Length": str(MAX_BODY + 1)}), 413)
        padded = b'{"name": "eve"}'.ljust(MAX_BODY)
        self.assertEqual(self.ask("POST", "/api/users", wants, padded).status, 201)

    def test_only_a_torrent_may_be_long(self) -> None:
        wants = {**BEARER, **JSON}
        self.unchanged(self.ask("POST", "/api/torrents", wants, b" " * (MAX_BODY + 1)), 413)
        wants["Content-Type"] = TORRENT
        self.unchanged(self.ask("POST", "/api/torrents", wants, b"d" * MAX_UPLOAD), 400)
        self.unchanged(
            self.ask("POST", "/api/torrents", {**wants, "Content-Length": str(MAX_UPLOAD + 1)}), 413
        )

    def test_a_long_body_is_not_even_read_without_the_token(self) -> None:
        headers = {"Content-Type": TORRENT, "Content-Length": str(MAX_UPLOAD)}
        for client, credentials in (("10.0.0.1", ""), ("10.0.0.2", "Bearer wrong")):
            answer = self.ask(
                "POST", "/api/torrents", {**headers, "Authorization": credentials}, client=client
            )
            self.unchanged(answer, 401)
            self.assertEqual(answer.headers["connection"], "close")

    def test_a_body_whose_length_is_not_told_is_cut_off(self) -> None:
        head = (
            f"POST /api/torrents HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n"
            f"Content-Type: {TORRENT}\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        chunk = b"%x\r\n%b\r\n" % (MAX_BODY, b"d" * MAX_BODY)
        self.unchanged(self.talk(head.encode() + chunk + chunk), 413)


class NameTests(GuardTestCase):
    def test_any_name_reaches_its_user_and_no_other(self) -> None:
        random = Random(SEED)
        for _ in range(runs(100, 2000)):
            name = "".join(
                chr(random.choice((47, 46, 37, 63, 35, 92, 0xE9, random.randrange(33, 0x2FF))))
                for _ in range(9)
            )
            if not name.isprintable() or name != name.strip():
                continue
            answer = self.ask("GET", "/api/users/" + quote(name, safe=""), BEARER)
            self.assertEqual(answer.status, 404)
            self.assertEqual(answer.json["error"], "there is no such user")
