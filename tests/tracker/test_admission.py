"""The rules chosen in settings, as one service: their order, what is read again, and what survives."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from bittwist.address import Address
from bittwist.announce.values import AnnounceRequest
from bittwist.errors import ConfigError, TrackerFailure
from bittwist.metainfo.infohash import InfoHash
from bittwist.tracker import Arrival, Front, Tracker
from bittwist.tracker.access_settings import AccessSettings
from bittwist.tracker.admission import Admission
from bittwist.tracker.users import FLUSH_EVERY
from tests.tracker.arrivals import HASH, OTHER, REQUEST
from tests.tracker.machine import LatePool, Machine, complaints

HERE = Arrival(Front.HTTP, "192.0.2.1")


class SettingsTests(SynchronousTestCase):
    def test_the_defaults_let_anyone_in(self) -> None:
        self.assertEqual(Admission(Machine(), AccessSettings(), lambda: 0.0).hooks, ())

    def test_what_cannot_be_is_refused_by_its_key(self) -> None:
        for key, wrong in (
            ("poll", {"poll": 0}),
            ("poll", {"poll": 4000}),
            ("max_rate", {"max_rate": 0}),
            ("registered_only", {"registered_only": True}),
            ("announces_per_address", {"announces_per_address": -1}),
            ("scrapes_per_address", {"scrapes_per_address": float("nan")}),
            ("announces_per_user", {"announces_per_user": 1}),
            ("scrapes_per_user", {"scrapes_per_user": 1}),
            ("burst", {"burst": 0}),
            ("token_algorithms", {"token_algorithms": ()}),
            ("token_algorithms", {"token_algorithms": ("none",)}),
            ("token_algorithms", {"token_algorithms": ("HS256", "RS256")}),
        ):
            with self.assertRaises(ValueError) as caught:
                AccessSettings(**wrong)  # type: ignore[arg-type]
            self.assertEqual(caught.exception.args[0], key)
            self.assertEqual(len(caught.exception.args), 2)


class AdmissionTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir(parents=True)
        self.machine = Machine()

    def file(self, name: str, content: str = "") -> Path:
        path = self.folder / name
        path.write_text(content)
        return path

    def admission(self, machine: Machine | None = None, **settings: Any) -> Admission:
        machine = machine or self.machine
        return Admission(machine, AccessSettings(**settings), self.machine.wall)

    def refused(self, admission: Admission, arrival: Arrival = HERE, **fields: Any) -> str:
        """Why a tracker with these rules refuses such an announce; "" where it does not."""
        address = fields.pop("address", Address(arrival.host, 6881))
        request: AnnounceRequest = replace(REQUEST, address=address, **fields)
        try:
            Tracker(self.machine, hooks=admission.hooks, hybrids=admission.hybrids).announce(request, arrival)
        except TrackerFailure as failure:
            return failure.reason
        return ""

    def test_a_file_that_could_not_be_written_is_named_at_once(self) -> None:
        folder = self.folder / "folder"
        folder.mkdir()
        for key in ("users", "torrents"):
            for path in (Path("/proc/x/y"), self.file("file") / "y", folder):
                with self.assertRaises(ConfigError) as caught:
                    Admission(self.machine, AccessSettings(**{key: path}), self.machine.wall)  # type: ignore[arg-type]
                self.assertEqual((caught.exception.file, caught.exception.key), (str(path), key))

    def test_trying_a_file_leaves_nothing_behind(self) -> None:
        Admission(self.machine, AccessSettings(users=self.folder / "new" / "users"), self.machine.wall)
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_all_rules_at_once_in_their_order(self) -> None:
        admission = self.admission(
            allow_info_hashes=self.file("a", HASH.hex()),
            deny_info_hashes=self.file("b", OTHER.hex()),
            deny_clients=self.file("c", "-YY"),
            deny_addresses=self.file("d", "198.51.100.0/24"),
            users=self.folder / "users",
            torrents=self.folder / "torrents",
            registered_only=True,
            token_keys=self.file("k", "s" * 32),
            announces_per_address=60,
            burst=7,
            refuse_privileged_ports=True,
        )
        order = "AddressLists AddressLimits UserPorts ClientLists InfoHashLists Registry Passkeys Tokens"
        self.assertEqual([type(hook).__name__ for hook in admission.hooks], order.split())
        bad: dict[str, Any] = {"peer_id": b"-YY".ljust(20), "port": 80, "info_hash": OTHER}
        self.assertIn("your address", self.refused(admission, Arrival(Front.HTTP, "198.51.100.1"), **bad))
        for mended, reason in (
            ({}, "port"),
            ({"port": 6881}, "peer_id"),
            ({"peer_id": REQUEST.peer_id}, "info_hash: this torrent is not served"),
            ({"info_hash": HASH}, "info_hash: this torrent is not registered"),
        ):
            bad.update(mended)
            self.assertTrue(self.refused(admission, **bad).startswith(reason), reason)
        assert admission.registry is not None and admission.users is not None
        self.successResultOf(admission.registry.block(OTHER))
        self.successResultOf(admission.registry.unblock(OTHER))
        self.successResultOf(admission.registry.add(InfoHash(v1=HASH)))
        self.assertTrue(self.refused(admission).startswith("passkey: missing"))
        passkey = self.successResultOf(admission.users.add("ann")).passkey
        self.assertTrue(self.refused(admission, replace(HERE, passkey=passkey)).startswith("jwt: missing"))
        self.assertTrue(self.refused(admission).startswith("passkey: missing"))
        self.assertTrue(self.refused(admission).startswith("too many announces from your address"))

    def test_each_setting_brings_its_own_rule_only(self) -> None:
        for settings, name in (
            ({"allow_clients": self.file("c", "-XX")}, "ClientLists"),
            ({"allow_addresses": self.file("d", "192.0.2.0/24")}, "AddressLists"),
            ({"allow_info_hashes": self.file("a", HASH.hex())}, "InfoHashLists"),
            ({"scrapes_per_address": 60}, "AddressLimits"),
            ({"users": self.folder / "u", "passkey_required": False}, "Passkeys"),
            ({"torrents": self.folder / "t"}, "Registry"),
        ):
            admission = self.admission(**settings)
            self.assertEqual([type(hook).__name__ for hook in admission.hooks], [name])
            self.assertEqual(self.refused(admission), "")

    def test_a_list_that_cannot_be_read_is_a_config_error(self) -> None:
        for key, content in (
            ("allow_info_hashes", "nothing"),
            ("deny_addresses", "10.0.0.300"),
            ("deny_clients", "x" * 21),
            ("token_keys", "short"),
        ):
            with self.assertRaises(ConfigError) as caught:
                self.admission(**{key: self.file("broken", content)})
            self.assertEqual(caught.exception.key, key)
        for key in ("allow_clients", "token_keys"):
            with self.assertRaises(ConfigError):
                self.admission(**{key: self.folder / "not there"})
        with self.assertRaises(ConfigError):
            self.admission(users=self.folder)

    def test_changed_lists_are_read_while_it_runs(self) -> None:
        path = self.file("b", "# none\n")
        admission = self.admission(deny_info_hashes=path, poll=5.0)
        admission.startService()
        path.write_text(HASH.hex())
        self.assertEqual(self.refused(admission), "")
        self.machine.advance(5)
        self.assertIn("not served", self.refused(admission))
        path.write_text("broken")
        with complaints() as told:
            for _ in range(3):
                self.machine.advance(5)
        self.assertEqual(len(told), 1)
        self.assertIn("not served", self.refused(admission))
        path.write_text("\n")
        self.machine.advance(5)
        self.assertEqual(self.refused(admission), "")
        self.successResultOf(admission.stopService())
        self.assertEqual(self.machine.getDelayedCalls(), [])

    def test_reload_reads_at_once_and_one_after_the_other(self) -> None:
        pool = LatePool()
        path = self.file("b", "# none\n")
        admission = self.admission(Machine(pool), deny_info_hashes=path)
        path.write_text(HASH.hex())
        first, second = admission.reload(), admission.reload()
        self.assertEqual(len(pool.waiting), 1)
        path.write_text(OTHER.hex() + "\n")
        pool.run()
        self.successResultOf(first)
        self.successResultOf(second)
        self.assertIn("not served", self.refused(admission, info_hash=OTHER))

    def test_it_looks_on_after_a_look_that_failed(self) -> None:
        first = self.admission(users=self.folder / "users", poll=5.0)
        assert first.users is not None
        self.successResultOf(first.users.add("ann"))
        kept = (self.folder / "users").rename(self.folder / "away")
        first.startService()
        with complaints() as told:
            for _ in range(3):
                self.machine.advance(5)
        self.assertEqual(len(told), 1)
        kept.rename(self.folder / "users")
        second = self.admission(users=self.folder / "users")
        assert second.users is not None
        self.successResultOf(second.users.add("bob"))
        self.machine.advance(5)
        self.assertEqual([user.name for user in first.users.list()], ["ann", "bob"])
        self.successResultOf(first.stopService())

    def test_totals_are_written_every_so_often_and_at_the_stop(self) -> None:
        admission = self.admission(users=self.folder / "users")
        assert admission.users is not None
        passkey = self.successResultOf(admission.users.add("ann")).passkey
        mine = replace(HERE, passkey=passkey)
        admission.startService()
        self.refused(admission, mine, uploaded=0)
        self.machine.advance(FLUSH_EVERY)
        self.refused(admission, mine, uploaded=1000)
        self.machine.advance(FLUSH_EVERY - 1)
        self.assertEqual(admission.users.list()[0].uploaded, 0)
        self.machine.advance(1)
        self.assertEqual(admission.users.list()[0].uploaded, 1000)
        self.refused(admission, mine, uploaded=5000)
        self.successResultOf(admission.stopService())
        again = self.admission(users=self.folder / "users")
        assert again.users is not None
        self.assertEqual(again.users.list()[0].uploaded, 5000)

    def test_a_stop_waits_for_the_disk(self) -> None:
        pool = LatePool()
        admission = self.admission(Machine(pool), users=self.folder / "users")
        assert admission.users is not None
        added = admission.users.add("ann")
        admission.startService()
        stopped = admission.stopService()
        self.assertNoResult(stopped)
        pool.run()
        self.successResultOf(stopped)
        self.successResultOf(added)

    def test_a_stop_ends_though_the_disk_takes_nothing(self) -> None:
        admission = self.admission(users=self.folder / "users")
        assert admission.users is not None
        mine = replace(HERE, passkey=self.successResultOf(admission.users.add("ann")).passkey)
        admission.startService()
        self.refused(admission, mine)
        (self.folder / "users").unlink()
        with complaints() as told:
            self.successResultOf(admission.stopService())
        self.assertEqual(len(told), 1)
