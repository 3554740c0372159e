"""Hybrids that are one swarm: whatever names one of a torrent's hashes counts for both (BEP 52)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jwt
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from bittwist.address import Address
from bittwist.announce.values import AnnounceRequest
from bittwist.errors import TrackerFailure
from bittwist.metainfo.infohash import InfoHash
from bittwist.tracker import Arrival, Front, Tracker, TrackerSettings
from bittwist.tracker.access_settings import AccessSettings
from bittwist.tracker.admin import Admin
from bittwist.tracker.admission import Admission
from bittwist.tracker.api import TorrentsApi
from bittwist.tracker.hybrids import Hybrids
from tests.tracker.machine import Machine

V1, V2 = b"1" * 20, b"2" * 32
SHORT = V2[:20]
OTHER = b"o" * 20
DECLARED = TrackerSettings(hybrids=(f"{V1.hex()}:{V2.hex()}",))
SECRET = "s" * 32


class HybridsTests(SynchronousTestCase):
    def test_either_hash_leads_to_the_swarm_and_to_both_names(self) -> None:
        hybrids = Hybrids()
        self.assertFalse(hybrids.any)
        hybrids.declare({SHORT: V1})
        self.assertTrue(hybrids.any)
        for info_hash in (V1, SHORT):
            self.assertEqual((hybrids.swarm(info_hash), hybrids.names(info_hash)), (V1, (V1, SHORT)))
        self.assertEqual((hybrids.swarm(OTHER), hybrids.names(OTHER)), (OTHER, (OTHER,)))

    def test_what_is_declared_anew_holds_alone(self) -> None:
        hybrids = Hybrids()
        hybrids.declare({SHORT: V1})
        hybrids.declare({})
        self.assertEqual((hybrids.swarm(SHORT), hybrids.names(V1)), (SHORT, (V1,)))


class RulesTests(SynchronousTestCase):
    """By hybrids of the settings, and by a registered one where that is said."""

    def setUp(self) -> None:
        self.machine = Machine()
        self.folder = Path(self.mktemp())
        self.folder.mkdir(parents=True)

    def tracker(self, settings: TrackerSettings = DECLARED, **access: Any) -> tuple[Tracker, Admission]:
        admission = Admission(self.machine, AccessSettings(**access), self.machine.wall)
        return Tracker(self.machine, settings, hooks=admission.hooks, hybrids=admission.hybrids), admission

    def file(self, content: str) -> Path:
        path = self.folder / "file"
        path.write_text(content)
        return path

    def served(self, tracker: Tracker, token: bytes | None = None) -> Sequence[bool]:
        """Whether announces and scrapes are answered by v1, by v2, and of another torrent."""
        answered = []
        arrival = Arrival(Front.HTTP, "192.0.2.1", token=token)
        for info_hash in (V1, SHORT, OTHER):
            request = AnnounceRequest(info_hash, bytes(20), 6881, address=Address("192.0.2.1", 6881))
            for ask in (
                lambda request=request: tracker.announce(request, arrival),
                lambda info_hash=info_hash: tracker.scrape((info_hash,), arrival),
            ):
                try:
                    ask()
                except TrackerFailure:
                    answered.append(False)
                else:
                    answered.append(True)
        self.assertEqual(answered[::2], answered[1::2], "announces and scrapes are judged alike")
        return answered[::2]

    def token(self, named: bytes) -> bytes:
        claims = {"exp": int(self.machine.wall()) + 60, "infohash": named.hex()}
        return jwt.encode(claims, SECRET, "HS256").encode()

    def test_a_list_that_names_either_hash_counts_for_both(self) -> None:
        for named in (V1, SHORT, V2):
            tracker, _ = self.tracker(deny_info_hashes=self.file(named.hex()))
            self.assertEqual(self.served(tracker), [False, False, True])
            tracker, _ = self.tracker(allow_info_hashes=self.file(named.hex()))
            self.assertEqual(self.served(tracker), [True, True, False])

    def test_a_token_that_names_either_hash_is_good_for_both(self) -> None:
        tracker, _ = self.tracker(token_keys=self.file(SECRET), token_names_torrent=True)
        for named in (V1, SHORT, V2):
            self.assertEqual(self.served(tracker, self.token(named)), [True, True, False])

    def test_a_registration_or_a_block_of_either_hash_counts_for_both(self) -> None:
        for number, info_hash in enumerate((InfoHash(v1=V1), InfoHash(v2=V2))):
            torrents = self.folder / str(number)
            tracker, admission = self.tracker(torrents=torrents, registered_only=True)
            assert admission.registry is not None
            self.assertEqual(self.served(tracker), [False, False, False])
            self.successResultOf(admission.registry.add(info_hash))
            self.assertEqual(self.served(tracker), [True, True, False])
            self.successResultOf(admission.registry.block(info_hash.short))
            self.assertEqual(self.served(tracker), [False, False, False])

    def test_a_hybrid_that_is_registered_is_one_for_lists_and_tokens_as_well(self) -> None:
        torrents = self.folder / "torrents"
        for access in ({"deny_info_hashes": self.file(V2.hex())}, {"allow_info_hashes": self.file(V2.hex())}):
            tracker, admission = self.tracker(TrackerSettings(), torrents=torrents, **access)
            assert admission.registry is not None
            if not len(admission.registry):
                self.successResultOf(admission.registry.add(InfoHash(V1, V2)))
            allowed = "allow_info_hashes" in access
            self.assertEqual(self.served(tracker), [allowed, allowed, not allowed])
        tracker, _ = self.tracker(TrackerSettings(), torrents=torrents, token_keys=self.file(SECRET))
        self.assertEqual(self.served(tracker, self.token(V2)), [True, True, False])

    def test_hybrids_of_new_settings_count_at_once(self) -> None:
        tracker, _ = self.tracker(TrackerSettings(), deny_info_hashes=self.file(V2.hex()))
        self.assertEqual(self.served(tracker), [True, False, True])
        tracker.apply(DECLARED)
        self.assertEqual(self.served(tracker), [False, False, True])

    def test_the_api_tells_the_size_of_the_swarm_that_both_share(self) -> None:
        tracker, admission = self.tracker(torrents=self.folder / "torrents")
        assert admission.registry is not None
        self.successResultOf(admission.registry.add(InfoHash(v2=V2)))
        self.served(tracker)
        api = TorrentsApi(admission.registry, Admin(self.machine, tracker))
        told = self.successResultOf(Deferred.fromCoroutine(api.get(SHORT.hex())))
        self.assertEqual(told["swarm"]["seeds"], 1)
        (listed,) = self.successResultOf(Deferred.fromCoroutine(api.list(None, 9)))["torrents"]  # type: ignore[misc]
        self.assertEqual(listed["swarm"], told["swarm"])
