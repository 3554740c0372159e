"""Which URLs and addresses may be fetched."""

from __future__ import annotations

from ipaddress import ip_address

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bittwist.net.urls import MAX_URL, Purpose, Reach, Url, address_refusal, reach, url_refusal


class ParseTests(SynchronousTestCase):
    def test_takes_a_url_apart(self) -> None:
        url = Url.parse("HTTP://User:p%40ss@Tracker.Example:8080/announce?k=%aa&a&b==#part")
        self.assertEqual(url, Url("http", "tracker.example", 8080, "/announce?k=%aa&a&b==", "User:p@ss"))
        self.assertEqual((url.path, url.query), ("/announce", "k=%aa&a&b=="))
        self.assertEqual(str(url), "http://tracker.example:8080/announce?k=%aa&a&b==")

    def test_a_default_port_is_left_out_and_brackets_put_back(self) -> None:
        for text, authority in (
            ("http://h:80/", "h"),
            ("https://h/", "h"),
            ("https://h:80/", "h:80"),
            ("http://[2001:db8::1]:81/", "[2001:db8::1]:81"),
        ):
            self.assertEqual(Url.parse(text).authority, authority)

    def test_what_is_not_ascii_in_path_and_query_is_escaped(self) -> None:
        self.assertEqual(Url.parse("http://h/ä?ö=1").target, "/%C3%A4?%C3%B6=1")

    def test_refuses_with_a_sentence(self) -> None:
        for text, words in (
            ("ftp://h/", "only http and https"),
            ("file:///etc/passwd", "only http and https"),
            ("gopher://127.0.0.1:70/x", "only http and https"),
            ("httpfoo://test.com/announce", "only http and https"),
            ("announce", "only http and https"),
            ("http://", "names no host"),
            ("http:///x", "names no host"),
            ("http://h/a b", "spaces"),
            ("http://h/\r\nX: y", "control characters"),
            ("http://h\\@evil/", "backslashes"),
            ("http://h:99999/", "out of range"),
            ("http://h:0/", "port 0"),
            ("http://[::1/", "Invalid IPv6"),
            ("http://h%41/", "not a host name"),
            ("http://trаcker.example/", "not a host name"),  # a Cyrillic letter
            ("http://h/" + "x" * MAX_URL, "longer than"),
        ):
            with self.subTest(text[:40]):
                problem = self.assertRaises(ValueError, Url.parse, text)
                self.assertIn(words, str(problem))

    def test_at_the_length_limit_it_is_read(self) -> None:
        text = "http://h/"
        Url.parse(text + "x" * (MAX_URL - len(text)))

    @given(st.text(max_size=60))
    def test_any_text_is_read_or_refused(self, text: str) -> None:
        for prefix in ("", "http://", "https://h/"):
            try:
                url = Url.parse(prefix + text)
            except ValueError:
                continue
            self.assertTrue(str(url).isascii())
            self.assertEqual(Url.parse(str(url)), Url(url.scheme, url.host, url.port, url.target))


class JoinTests(SynchronousTestCase):
    def test_locations_are_relative_or_not(self) -> None:
        url = Url.parse("http://me:pass@h:81/a/b?c")
        for location, target in (
            ("x", "http://h:81/a/x"),
            ("/x?y", "http://h:81/x?y"),
            ("//other/x", "http://other/x"),
            ("https://h/", "https://h/"),
            ("http://you:word@h:81/", "http://h:81/"),
        ):
            joined = url.join(location)
            self.assertEqual((str(joined), joined.credentials), (target, None))

    def test_other_schemes_are_refused(self) -> None:
        for location in ("file:///etc/passwd", "javascript:1", "ftp://h/"):
            self.assertRaises(ValueError, Url.parse("http://h/").join, location)


class ReachTests(SynchronousTestCase):
    def test_where_addresses_lead(self) -> None:
        table = {
            Reach.GLOBAL: [
                *("2.2.2.2", "8.8.4.4", "2606:4700::1"),
                *("::ffff:2.2.2.2", "64:ff9b::202:202", "2002:202:202::"),
            ],
            Reach.LOCAL: [
                *("127.0.0.1", "127.255.255.254", "::1"),
                *("::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::"),
                *("10.0.0.1", "172.16.0.1", "192.168.1.13", "100.64.0.1", "fc00::1", "fec0::1"),
                "192.0.2.1",  # for documentation: nobody's, so as good as private
            ],
            Reach.LINK: ["169.254.169.254", "fe80::1", "::ffff:169.254.169.254"],
            Reach.NOWHERE: [
                *("0.0.0.0", "0.1.2.3", "224.0.0.1", "255.255.255.255", "240.0.0.1"),
                *("::", "ff02::1", "::127.0.0.1"),
            ],
        }
        for where, hosts in table.items():
            for host in hosts:
                with self.subTest(host):
                    self.assertIs(reach(host), where)

    @given(st.ip_addresses(v=4))
    def test_mapping_an_address_changes_nothing(self, address: object) -> None:
        self.assertIs(reach(f"::ffff:{address}"), reach(str(address)))

    @given(st.ip_addresses())
    def test_every_address_leads_somewhere(self, address: object) -> None:
        where = reach(str(address))
        if where is Reach.GLOBAL and ip_address(str(address)).version == 4:
            self.assertTrue(ip_address(str(address)).is_global)


class RefusalTests(SynchronousTestCase):
    def refused(
        self, host: str, target: str, purpose: Purpose, hop: int = 0, was_global: bool = False
    ) -> bool:
        url = Url.parse(f"http://name.example{target}")
        return address_refusal(host, url, purpose, hop=hop, was_global=was_global) is not None

    def test_trackers_are_local_only_where_trackers_are(self) -> None:
        for host in ("127.0.0.1", "::1", "192.168.0.1"):
            for target, refused in (
                ("/announce", False),
                ("/announce.php?passkey=1", False),
                ("/scrape?x", False),
                ("/", True),
                ("/unusual-announce-path", True),
                ("/x?/announce", True),
                ("/announce/../admin", True),
                ("/announce/%2e%2e/admin", True),
                ("/0123456789abcdef/announce", False),
                ("/0123456789abcdef/scrape", False),
                ("/0123456789abcdef/announce/admin", True),
                ("/0123456789abcdef/announcements", True),
                ("/admin/users/announce", True),
                ("/../announce", True),
                ("/%2e%2e/announce", True),
                ("/short/announce", True),
            ):
                with self.subTest(target):
                    self.assertIs(self.refused(host, target, Purpose.TRACKER), refused)

    def test_web_seeds_send_no_query_to_local_addresses(self) -> None:
        self.assertFalse(self.refused("192.168.1.13", "/1", Purpose.WEB_SEED))
        self.assertTrue(self.refused("192.168.1.13", "/1?query_string=1", Purpose.WEB_SEED))
        self.assertFalse(self.refused("2.2.2.2", "/1?query_string=1", Purpose.WEB_SEED))

    def test_what_the_user_typed_may_be_local(self) -> None:
        for host in ("127.0.0.1", "10.0.0.1", "169.254.1.2"):
            self.assertFalse(self.refused(host, "/x?y", Purpose.TORRENT))

    def test_nobody_is_sent_from_outside_to_a_local_address(self) -> None:
        for purpose in Purpose:
            for host in ("127.0.0.1", "10.0.0.1", "169.254.169.254", "::1"):
                self.assertTrue(self.refused(host, "/announce", purpose, hop=1, was_global=True))
            self.assertFalse(self.refused("2.2.2.2", "/announce", purpose, hop=1, was_global=True))

    def test_link_local_addresses_are_only_for_who_types_them(self) -> None:
        self.assertTrue(self.refused("169.254.169.254", "/announce", Purpose.TRACKER))
        self.assertTrue(self.refused("169.254.169.254", "/1", Purpose.WEB_SEED))
        self.assertTrue(self.refused("169.254.169.254", "/x", Purpose.TORRENT, hop=1))

    def test_addresses_that_are_none_are_for_nobody(self) -> None:
        for purpose in Purpose:
            self.assertTrue(self.refused("0.0.0.0", "/announce", purpose))

    def test_look_alike_names_are_not_used_unless_typed(self) -> None:
        url = Url.parse("http://xn--tracker-.com:8080/announce")
        self.assertIsNotNone(url_refusal(url, Purpose.TRACKER))
        self.assertIsNotNone(url_refusal(url, Purpose.WEB_SEED))
        self.assertIsNone(url_refusal(url, Purpose.TORRENT))
