"""The tracker's twistd plugin, up to the ports."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

from twisted.application.service import MultiService
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from bittwist.app.tracker_tap import ListenSettings, Options, TrackerConfig, tracker_service
from bittwist.errors import ConfigError, NetworkError
from bittwist.tracker import Tracker, TrackerSettings


class OptionTests(SynchronousTestCase):
    def parse(self, *arguments: str) -> TrackerConfig:
        options = Options()
        options.parseOptions(list(arguments))
        return options.settings

    def file(self, text: str) -> str:
        file = Path(self.mktemp())
        file.write_text(text)
        return str(file)

    def refusal(self, *arguments: str) -> str:
        with self.assertRaises(ConfigError) as caught:
            self.parse(*arguments)
        return str(caught.exception)

    def test_without_any_the_defaults_hold(self) -> None:
        self.assertEqual(self.parse(), TrackerConfig())

    def test_options_win_over_the_file(self) -> None:
        file = self.file('[listen]\nhttp = ["tcp:1"]\nudp = ["1"]\n[tracker]\ninterval = 900\n')
        expected = TrackerSettings(interval=900)
        self.assertEqual(
            self.parse("--config", file),
            TrackerConfig(listen=ListenSettings(("tcp:1",), ("1",)), tracker=expected),
        )
        self.assertEqual(
            self.parse("--config", file, "--http", "tcp:2", "--http", "tcp:3"),
            TrackerConfig(listen=ListenSettings(("tcp:2", "tcp:3"), ("1",)), tracker=expected),
        )

    def test_relative_paths_are_from_the_folder_of_the_file(self) -> None:
        file = Path(
            self.file(
                '[access]\nusers = "users"\ntorrents = "/srv/torrents"\n[snapshot]\nfile = "swarms"\n'
                '[udp]\nsecret_file = "secret"\n[admin]\ntoken_file = "../token"\n'
            )
        ).absolute()
        for word in (str(file), os.path.relpath(file)):
            found = self.parse("--config", word)
            self.assertEqual(found.access.users, file.parent / "users")
            self.assertEqual(found.access.torrents, Path("/srv/torrents"))
            self.assertEqual(found.snapshot.file, file.parent / "swarms")
            self.assertEqual(found.udp.secret_file, str(file.parent / "secret"))
            self.assertEqual(found.admin.token_file, file.parent / "../token")

    def test_without_a_file_only_what_is_named_is_opened(self) -> None:
        self.assertEqual(self.parse("--http", "tcp:2").listen, ListenSettings(("tcp:2",), ()))
        self.assertEqual(self.parse("--udp", "[::1]:2").listen, ListenSettings((), ("[::1]:2",)))

    def test_what_is_wrong_is_named_before_any_port_opens(self) -> None:
        file = self.file("[tracker]\nintervall = 900\n")
        self.assertIn(
            "tracker.intervall: unknown key; did you mean interval?", self.refusal("--config", file)
        )
        file = self.file("[tracker]\ninterval = 1\n")
        self.assertIn("tracker.interval: must be 10 to 86400", self.refusal("--config", file))
        file = self.file("[tracker]\ninterval = 120\nmin_interval = 180\n")
        told = "tracker.min_interval: must be 1 to 120, which interval is"
        self.assertIn(told, self.refusal("--config", file))
        self.parse("--config", self.file("[tracker]\ninterval = 120\n"))
        file = self.file('[listen]\nhttp = ["tcp"]')
        self.assertIn(f"{file}: listen.http: 'tcp' is no endpoint", self.refusal("--config", file))
        self.assertIn("No such file", self.refusal("--config", "nowhere.toml"))
        for endpoint in ("tcp", "tcp:x", "tcpx:1", "", "ssl:1:privateKey=nowhere.pem"):
            self.assertIn("command line: listen.http: ", self.refusal("--http", endpoint))
        for place in ("", "x", "70000", "host.example:1"):
            self.assertIn("command line: udp: ", self.refusal("--udp", place))
        for endpoint in ("stdio:", "haproxy:stdio:", "tcp:6980:interface="):
            self.assertIn("command line: admin: ", self.refusal("--admin", endpoint))


class ServiceTests(SynchronousTestCase):
    def service(self, *http: str) -> tuple[MemoryReactorClock, MultiService]:
        reactor = MemoryReactorClock()
        return reactor, tracker_service(
            reactor, TrackerConfig(listen=ListenSettings(http or ("tcp:6969",), ()))
        )

    def test_nothing_opens_before_it_is_started(self) -> None:
        reactor, whole = self.service("tcp:6969", "tcp:80:interface=127.0.0.1")
        self.assertEqual(reactor.tcpServers, [])
        whole.privilegedStartService()
        whole.startService()
        self.assertEqual(
            [(port, interface) for port, _, _, interface in reactor.tcpServers],
            [(6969, ""), (80, "127.0.0.1")],
        )
        self.assertTrue(any(isinstance(service, Tracker) for service in whole))
        whole.stopService()
        self.assertEqual(reactor.getDelayedCalls(), [])

    def test_an_admin_port_that_names_no_interface_is_open_to_this_machine_alone(self) -> None:
        reactor = MemoryReactorClock()
        admin = ("tcp:6980", "tcp6:6980", "haproxy:tcp:6981", r"tcp6:6982:interface=\:\:")
        whole = tracker_service(reactor, TrackerConfig(listen=ListenSettings((), (), admin=admin)))
        whole.privilegedStartService()
        self.assertEqual(
            [(port, interface) for port, _, _, interface in reactor.tcpServers],
            [(6980, "127.0.0.1"), (6980, "::1"), (6981, "127.0.0.1"), (6982, "::")],
        )

    def test_a_port_that_cannot_be_opened_keeps_it_from_starting(self) -> None:
        from twisted.internet.error import CannotListenError

        reactor, whole = self.service()

        def taken(*_arguments: object, **_named: object) -> None:
            raise CannotListenError("", 6969, OSError(98, "Address already in use"))

        self.patch(reactor, "listenTCP", taken)
        with self.assertRaisesRegex(NetworkError, "tcp:6969"):
            whole.privilegedStartService()


class PluginTests(SynchronousTestCase):
    def twistd(self, *words: str) -> tuple[int, str, str]:
        script = Path(sys.executable).with_name("twistd")
        command = [sys.executable, str(script), "--nodaemon", "--pidfile=", *words]
        root = Path(__file__).parents[2]
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=30)
        return done.returncode, done.stdout, done.stderr

    def test_a_busy_port_is_one_line_and_no_traceback(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            endpoint = f"tcp:{taken.getsockname()[1]}:interface=127.0.0.1"
            code, _, told = self.twistd("bittwist-tracker", "--http", endpoint)
        self.assertEqual((code, told), (1, f"twistd bittwist-tracker: {endpoint}: address already in use\n"))

    def test_a_setting_that_cannot_be_used_is_one_line_alone(self) -> None:
        for program in ("bittwist-tracker", "bittwist-peer"):
            code, out, told = self.twistd(program, "--config", "nowhere.toml")
            self.assertEqual((code, out), (1, ""))
            self.assertEqual(told, f"twistd {program}: nowhere.toml: file: No such file or directory\n")

    def test_reading_the_plugins_chooses_no_reactor_and_imports_nothing_of_ours(self) -> None:
        code = (
            "import sys\n"
            "sys.path.insert(0, 'twisted/plugins')\n"
            "import bittwist_plugin as plugins\n"
            "names = [maker.tapname for maker in (plugins.tracker, plugins.peer)]\n"
            "assert names == ['bittwist-tracker', 'bittwist-peer'], names\n"
            "assert not [name for name in sys.modules if name.startswith('bittwist.')]\n"
            "assert 'twisted.internet.reactor' not in sys.modules\n"
        )
        root = Path(__file__).parents[2]
        done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
