"""Where an admin port listens: on this machine alone unless it says otherwise, and each worker elsewhere."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from bittwist.tracker.admin_places import at_home, worker_endpoint


class AtHomeTests(SynchronousTestCase):
    def test_an_endpoint_that_names_no_interface_is_open_to_this_machine_alone(self) -> None:
        for said, opened in (
            ("tcp:6980", "tcp:6980:interface=127.0.0.1"),
            ("tcp:port=6980", "tcp:port=6980:interface=127.0.0.1"),
            ("ssl:443:privateKey=key.pem", "ssl:443:privateKey=key.pem:interface=127.0.0.1"),
            ("ssl:443:interface=.pem", "ssl:443:interface=.pem"),
            (r"ssl:443:privateKey=a\:interface=b", r"ssl:443:privateKey=a\:interface=b:interface=127.0.0.1"),
            ("tcp6:6980", r"tcp6:6980:interface=\:\:1"),
            ("tcp6:6980:50", r"tcp6:6980:50:interface=\:\:1"),
            ("tls:certificates:6980", r"tls:certificates:6980:interface=\:\:1"),
            ("haproxy:tcp:6980", "haproxy:tcp:6980:interface=127.0.0.1"),
            ("haproxy:tcp6:6980", r"haproxy:tcp6:6980:interface=\:\:1"),
            ("haproxy:haproxy:tcp:6980", "haproxy:haproxy:tcp:6980:interface=127.0.0.1"),
        ):
            self.assertEqual(at_home(said), opened)

    def test_one_that_says_where_it_is_stays_as_it_is(self) -> None:
        for said in (
            "tcp:6980:interface=0.0.0.0",
            "tcp:6980:0.0.0.0",
            r"tcp6:6980:interface=\:\:",
            r"tcp6:6980:50:\:\:",
            "haproxy:tcp:6980:interface=192.0.2.1",
            "haproxy:unix:/run/admin.sock",
            "unix:/run/admin.sock:mode=660",
            "systemd:domain=INET:index=0",
        ):
            self.assertEqual(at_home(said), said)

    def test_a_kind_that_cannot_be_judged_or_an_empty_interface_is_refused(self) -> None:
        for said, why in (
            ("stdio:", "'stdio'"),
            ("autobahn:tcp\\:9000:url=ws\\://x", "'autobahn'"),
            ("haproxy:stdio:", "'stdio'"),
            ("haproxy:", "''"),
            ("6980", "'6980'"),
            ("", "''"),
            ("tcp:6980:interface=", "interface is empty"),
            ("tcp:6980:", "interface is empty"),
        ):
            with self.assertRaisesRegex(ValueError, why):
                at_home(said)


class WorkerEndpointTests(SynchronousTestCase):
    def test_each_worker_has_an_endpoint_of_its_own(self) -> None:
        for said, worker, opened in (
            ("tcp:6970:interface=127.0.0.1", 0, "tcp:6970:interface=127.0.0.1"),
            ("tcp:6970:interface=127.0.0.1", 2, "tcp:6972:interface=127.0.0.1"),
            ("tcp:port=6970:interface=127.0.0.1", 2, "tcp:port=6972:interface=127.0.0.1"),
            (r"tcp6:6970:interface=\:\:1", 1, r"tcp6:6971:interface=\:\:1"),
            ("ssl:6970:privateKey=key.pem", 1, "ssl:6971:privateKey=key.pem"),
            ("tls:certificates:6970", 1, "tls:certificates:6971"),
            ("tcp:0", 3, "tcp:0"),
            ("unix:/run/admin.sock:mode=660", 1, "unix:/run/admin.sock.1:mode=660"),
            ("unix:mode=660:address=/run/admin.sock", 1, "unix:mode=660:address=/run/admin.sock.1"),
            ("haproxy:tcp:6970", 2, "haproxy:tcp:6972"),
            ("systemd:domain=INET:index=0", 0, "systemd:domain=INET:index=0"),
        ):
            self.assertEqual(worker_endpoint(said, worker), opened)

    def test_what_cannot_be_counted_up_is_refused(self) -> None:
        for said in (
            "systemd:domain=INET:index=0",
            "tcp:65535",
            "tcp:x",
            "tcp:interface=127.0.0.1",
            "unix:",
            "haproxy:systemd:domain=INET:index=0",
        ):
            with self.assertRaisesRegex(ValueError, "one endpoint for each worker"):
                worker_endpoint(said, 1)
