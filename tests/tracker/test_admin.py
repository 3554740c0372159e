"""What the admin port answers, and what its API changes."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from hashlib import sha1
from pathlib import Path
from unittest.mock import patch
from urllib.parse import quote

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, fail
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from bittwist import __version__
from bittwist.address import Address
from bittwist.announce.values import AnnounceRequest, Event, ScrapeEntry
from bittwist.errors import ConfigError, NetworkError, StorageError
from bittwist.metainfo.bencode import encode
from bittwist.testing import PoolAtOnce
from bittwist.tracker import Arrival, Front, ISwarmStore, SwarmAnswer
from bittwist.tracker.admin import AdminSettings
from bittwist.tracker.interfaces import Totals
from bittwist.tracker.watch import ANSWER_WITHIN
from tests.tracker.adminport import BEARER, GONE, JSON, TOKEN, AdminTestCase
from tests.tracker.machine import LatePool

HASH = b"h" * 20
HEX = HASH.hex()
INFO = {b"length": 5, b"name": b"a file", b"piece length": 16384, b"pieces": b"p" * 20}
TORRENT = encode({b"info": INFO})
TORRENT_HEX = sha1(encode(INFO)).hexdigest()


@implementer(ISwarmStore)
class Distant:
    """A store that answers late, or not; `here` and `answers_alone` are what it says of itself."""

    def __init__(self) -> None:
        self.here = True
        self.answers_alone = False
        self.asked: list[Deferred[Totals]] = []

    def announce(self, request: AnnounceRequest) -> SwarmAnswer:
        return SwarmAnswer()

    def scrape(self, info_hashes: list[bytes]) -> Deferred[dict[bytes, ScrapeEntry]]:
        return fail(NetworkError("redis", "away"))

    def totals(self) -> Deferred[Totals]:
        self.asked.append(Deferred())
        return self.asked[-1]

    def largest(self, count: int) -> Deferred[list[tuple[bytes, ScrapeEntry]]]:
        return fail(NetworkError("redis", "away"))

    def forget(self, info_hash: bytes) -> Deferred[None]:
        return fail(NetworkError("redis", "away"))


class PageTests(AdminTestCase):
    def test_figures_as_json(self) -> None:
        self.announce(left=1)
        self.announce(left=0, host="2001:db8::1", event=Event.COMPLETED, peer_id=b"-TR4050-abcdefghijkl")
        self.tracker.statistics.scraped(Front.UDP)
        self.machine.advance(5)
        told = self.get("/stats.json").json
        self.assertEqual(told["version"], __version__)
        self.assertEqual((told["torrents"], told["seeds"], told["leeches"], told["completed"]), (1, 1, 1, 1))
        self.assertEqual(told["announces_per_second"], 0.4)
        self.assertEqual(told["families"], {"ipv4": 1, "ipv6": 1})
        self.assertEqual(told["outcomes"], {"answered": 2, "refused": 0, "failed": 0, "gone": 0})
        self.assertEqual((told["fronts"]["http"]["announces"], told["fronts"]["udp"]["scrapes"]), (2, 1))
        self.assertEqual(
            {each["client"] for each in told["clients"]}, {"qBittorrent 4.6.5", "Transmission 4.0.5"}
        )
        self.assertEqual(
            told["largest"],
            [{"info_hash": HEX, "name": None, "seeds": 1, "leeches": 1, "completed": 1}],
        )

    def test_swarms_of_browsers_are_swarms(self) -> None:
        """In figures, on the page and over the API, also where no other peer is in them."""
        alone, mixed = b"a" * 20, b"m" * 20
        self.announce(mixed, left=0)
        browser = object()
        self.tracker.browsers.opened(browser)
        for number, info_hash in enumerate((alone, alone, mixed)):
            request = AnnounceRequest(
                info_hash, b"-WW0102-%012d" % number, 0, left=1, address=Address("192.0.2.9", 0)
            )
            self.tracker.announce(request, Arrival(Front.WEBSOCKET, "192.0.2.9", connection=browser))
        self.machine.advance(20)
        told = self.get("/stats.json").json
        self.assertEqual((told["torrents"], told["seeds"], told["leeches"]), (2, 1, 3))
        self.assertEqual(
            {each["info_hash"]: (each["seeds"], each["leeches"]) for each in told["largest"]},
            {alone.hex(): (0, 2), mixed.hex(): (1, 1)},
        )
        self.assertNotIn(b"No peers yet.", self.get("/").body)
        self.api("POST", "/torrents", {"info_hash": alone.hex()})
        self.assertEqual(self.api("GET", f"/torrents/{alone.hex()}").json["swarm"]["leeches"], 2)

    def test_rates_are_kept_while_the_service_runs_only(self) -> None:
        self.assertEqual(len(self.machine.getDelayedCalls()), 2)  # the tracker's sweep is the other
        self.successResultOf(self.tracker.stopService())
        self.admin.stopService()
        self.assertEqual(self.machine.getDelayedCalls(), [])

    def test_metrics(self) -> None:
        answer = self.get("/metrics")
        self.assertIn("text/plain", answer.headers["content-type"])
        self.assertIn(b"\nbittwist_tracker_up 1.0\n", answer.body)
        self.assertIn(b"\nbittwist_tracker_store_up 1.0\n", answer.body)

    def test_without_prometheus_client_only_its_figures_are_missing(self) -> None:
        with patch.dict(sys.modules, {"bittwist.tracker.metrics": None}):  # as if its import failed
            self.start()
        answer = self.get("/metrics")
        self.assertEqual(answer.status, 501)
        self.assertIn("bittwist[metrics]", answer.json["error"])
        self.assertEqual(self.get("/").status, 200)

    def test_a_running_tracker_is_healthy_and_one_that_stops_is_not(self) -> None:
        self.assertEqual(self.get("/health").json, {"healthy": True})
        self.successResultOf(self.tracker.stopService())
        answer = self.get("/health")
        self.assertEqual((answer.status, answer.json), (503, {"error": "the tracker does not run"}))
        self.assertIn(b"the tracker does not run", self.get("/").body)

    def test_head_is_answered_without_a_body(self) -> None:
        for target in ("/", "/stats.json", "/metrics", "/health", "/status.css"):
            answer = self.ask("HEAD", target)
            self.assertEqual((answer.status, answer.body), (200, b""))
            self.assertGreater(int(answer.headers["content-length"]), 10)

    def test_every_answer_forbids_what_browsers_might_do_with_it(self) -> None:
        targets = ("/", "/stats.json", "/metrics", "/nowhere", "/api/users", "/api/nowhere", "/%ff", "//")
        for target in targets:
            answer = self.get(target)
            policy = answer.headers["content-security-policy"]
            self.assertIn("default-src 'none'", policy)
            self.assertIn("frame-ancestors 'none'", policy)
            self.assertNotIn("unsafe", policy)
            self.assertEqual(answer.headers["x-content-type-options"], "nosniff")
            self.assertNotIn("access-control-allow-origin", answer.headers)

    def test_what_is_not_there_is_told_as_json(self) -> None:
        for target in ("/nowhere", "/a//", "/%2e%2e/etc/passwd", "/%ff", "/stats.json/x", "/status.css%00"):
            answer = self.get(target)
            self.assertEqual((answer.status, answer.json), (404, {"error": "not here"}), target)


class StoreTests(AdminTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.distant = Distant()
        self.start(store=self.distant)

    def test_a_store_that_says_it_is_away_makes_the_tracker_unhealthy(self) -> None:
        self.distant.here = False
        answer = self.get("/health")
        self.assertEqual((answer.status, answer.json), (503, {"error": "the store does not answer"}))
        self.assertIn(b"store_up 0.0", self.get("/metrics").body)
        self.assertIsNone(self.get("/stats.json").json["torrents"])
        self.assertIn(b"the store does not answer", self.get("/").body)
        self.assertEqual(self.distant.asked, [])

    def test_a_tracker_that_answers_without_it_is_healthy_and_degraded(self) -> None:
        self.distant.here = False
        self.distant.answers_alone = True
        answer = self.get("/health")
        self.assertEqual((answer.status, answer.json["healthy"]), (200, True))
        self.assertIn("the store does not answer", answer.json["degraded"])
        self.assertIn(b"store_up 0.0", self.get("/metrics").body)
        self.assertEqual(self.get("/stats.json").json["degraded"], answer.json["degraded"])
        self.assertIn(answer.json["degraded"].encode(), self.get("/").body)
        self.distant.here = True
        asked = self.waiting("/health")
        self.machine.advance(ANSWER_WITHIN)
        self.assertIn(b" 200 ", asked.value())
        self.assertIn(b'"degraded"', asked.value())
        self.assertEqual(len(self.flushLoggedErrors()), 1)
        self.successResultOf(self.tracker.stopService())
        self.assertEqual(self.get("/health").status, 503)

    def test_nobody_waits_for_a_store_longer_than_the_deadline(self) -> None:
        asked = [self.waiting("/health") for _ in range(3)]
        self.assertEqual([transport.value() for transport in asked], [b""] * 3)
        self.assertEqual(len(self.distant.asked), 1)
        self.machine.advance(ANSWER_WITHIN)
        self.assertTrue(all(b" 503 " in transport.value() for transport in asked))
        self.assertEqual(len(self.flushLoggedErrors()), 1)

    def test_an_answer_is_shared_and_kept_for_a_moment(self) -> None:
        asked = [self.waiting("/health") for _ in range(3)]
        self.distant.asked[0].callback(Totals(1, 2, 3))
        self.assertTrue(all(b" 200 " in transport.value() for transport in asked))
        self.assertEqual(self.get("/health").status, 200)
        self.assertEqual(len(self.distant.asked), 1)
        self.machine.advance(2)
        self.waiting("/health")
        self.assertEqual(len(self.distant.asked), 2)

    def test_who_goes_while_waiting_disturbs_nobody(self) -> None:
        leaver, stayer = self.waiting("/health"), self.waiting("/health")
        leaver.protocol.connectionLost(GONE)
        self.distant.asked[0].callback(Totals(1, 2, 3))
        self.assertIn(b" 200 ", stayer.value())
        self.assertEqual(leaver.value(), b"")

    def test_torrents_are_changed_though_their_swarms_cannot_be_asked_or_dropped(self) -> None:
        answer = self.api("POST", f"/torrents/{HEX}/block")
        self.assertEqual((answer.status, answer.json["swarm_dropped"]), (200, False))
        self.assertIsNone(self.api("GET", f"/torrents/{HEX}").json["swarm"])
        self.assertEqual(len(self.flushLoggedErrors(NetworkError)), 2)

    def waiting(self, target: str):  # type: ignore[no-untyped-def]
        transport = StringTransport(peerAddress=IPv4Address("TCP", "127.0.0.1", 1))
        transport.protocol = self.site.buildProtocol(transport.getPeer())
        transport.protocol.makeConnection(transport)
        transport.protocol.dataReceived(f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        return transport


class TorrentApiTests(AdminTestCase):
    def test_a_torrent_is_registered_by_upload(self) -> None:
        headers = {**BEARER, "Content-Type": "application/x-bittorrent"}
        answer = self.ask("POST", "/api/torrents", headers, TORRENT)
        self.assertEqual(answer.status, 201)
        self.assertEqual(
            (answer.json["info_hash"], answer.json["name"], answer.json["size"]), (TORRENT_HEX, "a file", 5)
        )
        self.assertEqual(self.ask("POST", "/api/torrents", headers, TORRENT).status, 409)
        self.announce(bytes.fromhex(TORRENT_HEX))
        self.assertEqual(self.get("/stats.json").json["largest"][0]["name"], "a file")

    def test_what_is_no_torrent_is_refused_with_the_reason(self) -> None:
        for body in (b"", b"d", b"<html>", TORRENT[:-5], b"l" * 1000):
            answer = self.ask(
                "POST", "/api/torrents", {**BEARER, "Content-Type": "application/x-bittorrent"}, body
            )
            self.assertEqual(answer.status, 400)
            self.assertTrue(answer.json["error"])
        self.assertEqual(len(self.torrents), 0)

    def test_a_torrent_is_registered_by_hash(self) -> None:
        self.announce(left=0)
        answer = self.api("POST", "/torrents", {"info_hash": HEX.upper(), "name": "n", "size": 7})
        self.assertEqual((answer.status, answer.json["registered"]), (201, True))
        found = self.api("GET", f"/torrents/{HEX}").json
        self.assertEqual((found["name"], found["size"], found["v1"], found["v2"]), ("n", 7, HEX, None))
        self.assertEqual(found["swarm"], {"seeds": 1, "leeches": 0, "completed": 0})

    def test_a_hybrid_is_one_torrent(self) -> None:
        v2 = "22" * 32
        self.assertEqual(self.api("POST", "/torrents", {"info_hash": HEX, "info_hash_v2": v2}).status, 201)
        for name in (HEX, v2, v2[:40]):
            self.assertEqual(self.api("GET", f"/torrents/{name}").json["v2"], v2)

    def test_a_blocked_torrent_loses_its_swarm_and_an_unblocked_one_is_as_before(self) -> None:
        self.announce()
        answer = self.api("POST", f"/torrents/{HEX}/block")
        self.assertEqual((answer.json["blocked"], answer.json["swarm_dropped"]), (True, True))
        self.assertEqual(self.get("/stats.json").json["largest"], [])
        self.assertEqual(self.api("POST", f"/torrents/{HEX}/unblock").status, 200)
        self.assertEqual(self.api("GET", f"/torrents/{HEX}").status, 404)

    def test_a_torrent_is_removed(self) -> None:
        self.api("POST", "/torrents", {"info_hash": HEX})
        self.announce()
        self.assertEqual(self.api("DELETE", f"/torrents/{HEX}").status, 200)
        self.assertEqual(self.tracker.store.totals().torrents, 0)  # type: ignore[union-attr]
        self.assertEqual(self.api("DELETE", f"/torrents/{HEX}").status, 404)

    def test_torrents_are_listed_a_page_at_a_time(self) -> None:
        for number in range(5):
            self.api("POST", "/torrents", {"info_hash": f"{number:040x}"})
        found, after = [], ""
        for _ in range(3):
            page = self.api("GET", f"/torrents?count=2{after}").json
            found += [int(each["info_hash"], 16) for each in page["torrents"]]
            after = f"&after={page['next']}"
        self.assertEqual((found, page["next"]), ([0, 1, 2, 3, 4], None))

    def test_hashes_that_are_none_are_refused(self) -> None:
        for name in ("x", "zz" * 20, HEX[:-1], HEX + "00", "%00", "%ff", quote("ä" * 20)):
            for method, rest in (("GET", ""), ("DELETE", ""), ("POST", "/block"), ("POST", "/unblock")):
                self.assertEqual(self.api(method, f"/torrents/{name}{rest}").status, 400, name)
        self.assertEqual(self.api("GET", "/torrents?after=x").status, 400)

    def test_odd_ranges_are_refused(self) -> None:
        for count in ("0", "1001", "-1", "1e3", "99999999999999999999", "", "%C2%B2"):
            for what in ("torrents", "users"):
                self.assertEqual(self.api("GET", f"/{what}?count={count}").status, 400, count)
        self.assertEqual(self.api("GET", "/users?after=%ff").status, 400)

    def test_bodies_that_say_something_else_are_refused(self) -> None:
        bodies = (
            b"", b"[]", b"null", b"{", b"\xff", b"[" * 60_000, b'{"info_hash": 5}', b'{"info_hash": ["a"]}',
            b'{"info_hash": "%b", "blocked": true}' % HEX.encode(),
            b'{"info_hash": "%b", "size": "5"}' % HEX.encode(),
            b'{"info_hash": "%b", "size": true}' % HEX.encode(),
            b'{"info_hash": "%b", "size": 5.5}' % HEX.encode(),
            b'{"info_hash": "%b", "info_hash_v2": "%b"}' % (HEX.encode(), b"0" * 10),
            b'{"info_hash": "%b", "info_hash_v2": "%b"}' % (HEX.encode(), b"0" * 40),
            b'{"info_hash": "%b", "info_hash_v2": "%b"}' % (b"0" * 64, b"1" * 64),
            b'{"size": ' + b"9" * 5000 + b"}",
        )  # fmt: skip
        for body in bodies:
            answer = self.ask("POST", "/api/torrents", {**BEARER, **JSON}, body)
            self.assertEqual(answer.status, 400, body[:40])
        self.assertEqual(len(self.torrents), 0)

    def test_a_broken_torrent_file_is_called_that(self) -> None:
        headers = {**BEARER, "Content-Type": "application/x-bittorrent"}
        answer = self.ask("POST", "/api/torrents", headers, b"d4:infod4:")
        self.assertEqual(answer.status, 400)
        self.assertTrue(answer.json["error"].startswith("the body is no torrent file: "), answer.json)

    def test_numbers_and_names_beyond_all_measure_are_refused(self) -> None:
        for fields in ({"name": "n" * 1001}, {"name": "n" * 50_000}, {"size": -5}, {"size": 2**200}):
            answer = self.api("POST", "/torrents", {"info_hash": HEX, **fields})
            (key,) = fields
            self.assertEqual(answer.status, 400)
            self.assertTrue(answer.json["error"].startswith(f"{key}: must "), answer.json)


class UserApiTests(AdminTestCase):
    def test_a_user_is_added_and_told_its_passkey_once(self) -> None:
        answer = self.api("POST", "/users", {"name": "ann"})
        self.assertEqual(answer.status, 201)
        user = self.users.of(answer.json["passkey"])
        assert user is not None
        self.assertEqual(user.name, "ann")
        self.assertNotIn("passkey", self.api("GET", "/users/ann").json)
        self.assertNotIn(answer.json["passkey"].encode(), self.api("GET", "/users").body)
        self.assertEqual(self.api("POST", "/users", {"name": "ann"}).status, 409)

    def test_a_user_is_blocked_unblocked_renewed_and_removed(self) -> None:
        first = self.api("POST", "/users", {"name": "bob", "passkey": "p" * 20}).json["passkey"]
        self.assertEqual(first, "p" * 20)
        self.assertTrue(self.api("POST", "/users/bob/block").json["blocked"])
        self.assertFalse(self.api("POST", "/users/bob/unblock").json["blocked"])
        second = self.api("POST", "/users/bob/passkey").json["passkey"]
        self.assertIsNone(self.users.of(first))
        self.assertIsNotNone(self.users.of(second))
        self.assertEqual(self.api("DELETE", "/users/bob").status, 200)
        self.assertEqual(self.api("GET", "/users/bob").status, 404)
        for method, rest in (("DELETE", ""), ("POST", "/block"), ("POST", "/passkey")):
            self.assertEqual(self.api(method, "/users/bob" + rest).status, 404)

    def test_totals_are_told(self) -> None:
        self.api("POST", "/users", {"name": "ann"})
        ann = self.users.get("ann")
        assert ann is not None
        request = AnnounceRequest(HASH, b"p" * 20, 1, event=Event.STARTED)
        self.users.hear(ann, request)
        self.successResultOf(self.users.flush())
        self.machine.advance(60)
        self.users.hear(ann, replace(request, uploaded=5, downloaded=7, event=Event.NONE))
        self.successResultOf(self.users.flush())
        found = self.api("GET", "/users").json["users"]
        self.assertEqual(
            [(each["name"], each["uploaded"], each["downloaded"]) for each in found], [("ann", 5, 7)]
        )

    def test_names_with_all_that_paths_are_made_of(self) -> None:
        for name in ("a/b", "..", ".", "a b", "ä€😀", "100%", "%2F", "a?b#c", "a+b", "block", "<b>"):
            self.assertEqual(self.api("POST", "/users", {"name": name}).status, 201)
            target = "/users/" + quote(name, safe="").replace(".", "%2E")
            self.assertEqual(self.api("GET", target).json["name"], name)
            self.assertTrue(self.api("POST", target + "/block").json["blocked"])
            self.assertEqual(self.api("DELETE", target).status, 200)
        self.assertEqual(len(self.users), 0)

    def test_names_that_users_cannot_have_are_refused(self) -> None:
        for name in ("", " ", "a" * 65, "a\n", "\u202e", " a"):
            self.assertEqual(self.api("POST", "/users", {"name": name}).status, 400)

    def test_without_lists_there_is_nothing_to_change(self) -> None:
        self.torrents = self.users = None  # type: ignore[assignment]
        self.start()
        for target, key in (
            ("/users", "users"),
            ("/torrents", "torrents"),
            ("/users/a", "users"),
            (f"/torrents/{HEX}", "torrents"),
        ):
            answer = self.api("GET", target)
            self.assertEqual(answer.status, 404)
            why = f"this tracker keeps no list of {key}: {key} in [access] names none"
            self.assertEqual(answer.json["error"], why)

    def test_a_change_is_made_though_its_client_has_gone(self) -> None:
        self.machine.pool = pool = LatePool()
        body = json.dumps({"name": "ann"}).encode()
        self.ask("POST", "/api/users", {**BEARER, **JSON}, body)  # which closes before there is an answer
        pool.run()
        self.assertIsNotNone(self.users.get("ann"))

    def test_a_disk_that_fails_is_our_fault_and_says_nothing_of_paths(self) -> None:
        class Broken(PoolAtOnce):
            def callInThreadWithCallback(self, onResult, func, *args, **kw):  # type: ignore[no-untyped-def]
                def fails() -> None:
                    raise StorageError("/secret/path", "I/O error")

                super().callInThreadWithCallback(onResult, fails)

        self.machine.pool = Broken()
        answer = self.api("POST", "/users", {"name": "ann"})
        self.assertEqual(answer.status, 500)
        self.assertNotIn(b"secret", answer.body)
        self.flushLoggedErrors()


class SettingsTests(SynchronousTestCase):
    def test_what_makes_no_sense_is_refused_by_name(self) -> None:
        wrong = {
            "token": ("short", "with a blank in it", "ünïcödé-tokens-long"),
            "token_for_pages": (True,),
            "allowed_hosts": (("*",), ("a:80",), ("",)),
            "page_refresh": (-1, 3601),
            "largest": (-1, 1001),
        }
        for key, values in wrong.items():
            for value in values:
                with self.assertRaises(ValueError) as caught:
                    AdminSettings(**{key: value})  # type: ignore[arg-type]
                self.assertEqual(caught.exception.args[0], key)

    def test_the_token_is_read_from_its_file(self) -> None:
        file = Path(self.mktemp())
        file.write_text(TOKEN + "\n# not this\n")
        self.assertEqual(AdminSettings(token_file=file).secret(), TOKEN)
        file.write_text("short\n")
        self.assertRaises(ConfigError, AdminSettings(token_file=file).secret)
        file.write_bytes(b"\xff" * 20)
        self.assertRaises(ConfigError, AdminSettings(token_file=file).secret)
        self.assertRaises(ConfigError, AdminSettings(token_file=file.parent / "none").secret)
        with self.assertRaises(ValueError):
            AdminSettings(token=TOKEN, token_file=file)

    def test_the_token_is_not_in_the_settings_text(self) -> None:
        self.assertNotIn(TOKEN, repr(AdminSettings(token=TOKEN)))
