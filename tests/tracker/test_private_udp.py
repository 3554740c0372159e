"""A private tracker over UDP, where an announce carries credentials and a scrape cannot (BEP 15, 41)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jwt

from bittwist.announce.udp import Announce, Scrape
from bittwist.tracker.access_settings import AccessSettings
from bittwist.tracker.admission import Admission
from tests.tracker.machine import Machine
from tests.tracker.test_datagram import UdpCase, leech

HASH = b"h" * 20
SECRET = "s" * 32


class PrivateTests(UdpCase):
    def setUp(self) -> None:
        self.machine = Machine()
        self.folder = Path(self.mktemp())
        self.folder.mkdir(parents=True)
        super().setUp()

    def admit(self, **access: Any) -> Admission:
        admission = Admission(self.machine, AccessSettings(**access), self.machine.wall)
        self.hooks = admission.hooks
        self.build()
        return admission

    def passkey(self, **access: Any) -> bytes:
        """The URL data of a user of a tracker that has users."""
        admission = self.admit(users=self.folder / "users", **access)
        assert admission.users is not None
        added = admission.users.add(f"ann {len(admission.users)}")
        return b"/announce/" + self.successResultOf(added).passkey.encode()

    def token(self, **access: Any) -> bytes:
        """The URL data with a token of a tracker that wants one."""
        keys = self.folder / "keys"
        keys.write_text(SECRET)
        self.admit(token_keys=keys, **access)
        claims = {"exp": int(self.machine.wall()) + 60}
        return b"/announce?jwt=" + jwt.encode(claims, SECRET, "HS256").encode()

    def test_an_announce_says_who_it_is_and_a_scrape_that_cannot_is_refused_and_told_why(self) -> None:
        for what, url in (("passkey", self.passkey), ("jwt", self.token)):
            self.assertEqual(self.announce(leech(1), url=url()).incomplete, 1)
            refused = self.reason(Scrape(self.connect(), b"scra", (HASH,)))
            self.assertEqual(refused, f"{what}: missing (a scrape over UDP carries none; ask over HTTP)")
            refused = self.reason(Announce(self.connect(), b"tran", leech(1)))
            self.assertTrue(refused.startswith(f"{what}: missing"))
            self.assertNotIn("scrape", refused)

    def test_scrapes_are_answered_where_the_settings_ask_them_for_nothing(self) -> None:
        for url, off in ((self.passkey, "passkey_required"), (self.token, "token_for_scrapes")):
            self.announce(leech(1), url=url(**{off: False}))
            self.assertEqual(self.scrape(HASH)[0].incomplete, 1)
