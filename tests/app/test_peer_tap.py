"""`twistd bittwist-peer`: options win over the file, and SIGHUP reads the file again."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

from twisted.internet.protocol import Factory
from twisted.logger import LogLevel, capturedLogs, formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from bittwist.app.compose import Peer
from bittwist.app.peer_tap import Options
from bittwist.errors import ConfigError, NetworkError
from bittwist.metainfo.metainfo import Metainfo
from bittwist.testing import SimulatedNetwork
from tests.net.fileserver import FileServer
from tests.scale import SEED
from tests.test_settings import MEANINGFUL_ZEROS, NUMBERS

TORRENT = Metainfo.parse(
    b"d4:infod6:lengthi1e4:name1:a12:piece lengthi16384e6:pieces20:" + bytes(20) + b"ee"
).encode()
LIMIT = 10.0  # simulated seconds for what a test waits for


class PeerTests(SynchronousTestCase):
    def setUp(self) -> None:
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.base = Path(folder.name).resolve()
        self.file = self.base / "peer.toml"
        self.network = SimulatedNetwork(SEED)
        self.logged: list[tuple[LogLevel, str]] = []

    def write(self, text: str) -> None:
        self.file.write_text(text)

    def options(self, *words: str) -> Options:
        options = Options()
        options.parseOptions(["--config", str(self.file), "--state", str(self.base / "state"), *words])
        return options

    def started(self, *words: str) -> Peer:
        options = self.options(*words)
        peer = Peer(self.network.host("10.0.0.1"), options.settings, options.read)
        peer.startService()
        self.addCleanup(self.stop, peer)
        self.network.run_until(lambda: peer.session.when_listening().called, LIMIT)
        globalLogPublisher.addObserver(self.hear)
        self.addCleanup(globalLogPublisher.removeObserver, self.hear)
        return peer

    def stop(self, peer: Peer) -> None:
        stopping = peer.stopService()
        self.network.run_until(lambda: stopping.called, LIMIT)

    def hear(self, event: dict[str, object]) -> None:
        if event.get("log_namespace") == "bittwist.app.compose.Peer":
            self.logged.append((event["log_level"], str(event["log_format"]).format(**event)))  # type: ignore[arg-type]

    def test_limits_in_the_file_hold_from_the_signal_on(self) -> None:
        self.write("[session.limits]\nupload_rate = 1000\n")
        peer = self.started()
        self.write("[session.limits]\nupload_rate = 2000\n")
        peer.reload()
        self.assertEqual(peer.session.settings.limits.upload_rate, 2000)
        ((level, told),) = self.logged
        self.assertEqual(level, LogLevel.info)
        self.assertIn("as the file has it now", told)

    def test_a_file_that_cannot_be_used_is_named_and_changes_nothing(self) -> None:
        self.write("[session.limits]\nupload_rate = 1000\n")
        peer = self.started()
        before = peer.session.settings
        for text, why in (
            ("[session\n", "not TOML"),
            ("[session.limits]\nupload_rat = 5\n", "session.limits.upload_rat: unknown key"),
            ("[session.limits]\nupload_rate = -5\n", "session.limits"),
            (None, "No such file"),
        ):
            with self.subTest(why):
                self.logged.clear()
                if text is None:
                    self.file.unlink()
                else:
                    self.write(text)
                peer.reload()
                ((level, told),) = self.logged
                self.assertEqual(level, LogLevel.error)
                self.assertTrue(told.startswith(f"the settings stay as they were: {self.file}: "), told)
                self.assertIn(why, told)
                self.assertEqual(peer.session.settings, before)

    def adding(self, *sources: str) -> Peer:
        """A peer that begins with these, once it has logged what it makes of them."""
        self.write("")
        globalLogPublisher.addObserver(self.hear)
        self.addCleanup(globalLogPublisher.removeObserver, self.hear)
        config = replace(self.options().settings, add=sources)
        peer = Peer(self.network.host("10.0.0.1"), config)
        peer.startService()
        self.addCleanup(self.stop, peer)
        self.network.run_until(lambda: peer.session.when_listening().called, LIMIT)
        self.network.advance(LIMIT)
        return peer

    def test_what_is_ignored_or_refused_of_a_link_is_logged_with_its_info_hash(self) -> None:
        good, bad = "ab" * 20, "cd" * 20
        link = "magnet:?xt=urn:btih:"
        peer = self.adding(f"{link}{good}&so=1,9-5", f"{link}{bad}&so=9-5")
        self.assertIn((LogLevel.warn, f"ignored in {good}: so=9-5: the range runs backwards"), self.logged)
        why = "the link wants only some files, but so=9-5: the range runs backwards"
        self.assertIn((LogLevel.error, f"{bad} was not added: {why}"), self.logged)
        self.assertEqual(len(peer.session.torrents), 1)

    def test_what_is_ignored_of_a_link_is_logged_once_it_is_added(self) -> None:
        link = "magnet:?xt=urn:btih:" + "ab" * 20 + "&x.pe=bad"
        self.adding(link, link)
        self.assertEqual(len([told for _, told in self.logged if "ignored in" in told]), 1)
        self.logged.clear()
        self.adding("magnet:?xt=urn:btmh:1220" + "ab" * 32 + "&x.pe=bad")
        self.assertEqual([told for _, told in self.logged if "ignored in" in told], [])

    def test_a_torrent_is_named_and_a_tracker_that_fails_is_told_of_once(self) -> None:
        link = f"magnet:?xt=urn:btih:{'ab' * 20}&dn=a.iso&tr=http%3A%2F%2F10.0.0.9%2FSECRET%2Fannounce"
        with capturedLogs() as events:
            self.adding(link)
            self.network.advance(1000)
        told = [formatEvent(event) for event in events]
        self.assertIn("a.iso (abababab) is fetching its metadata", told)
        (line,) = [line for line in told if "the tracker" in line]
        self.assertTrue(line.startswith("a.iso (abababab): the tracker http://10.0.0.9 fails: "), line)

    def test_what_can_never_be_added_is_refused_before_a_port_is_opened(self) -> None:
        (self.base / "bad.torrent").write_bytes(b"no torrent")
        (self.base / "a:b.torrent").write_bytes(TORRENT)
        link = "magnet:?xt=urn:btih:"
        for source, why in (
            ("foo://me:SECRET@x", "foo: is no scheme that is known"),
            ("magnt:?xt=urn:btih:" + "ab" * 20, "magnt: is no scheme that is known"),
            (f"{link}none&tr=http://t.example/SECRET", "a magnet link: 'none' is not an info hash"),
            ("magnet:?xt=urn:btmh:1220" + "ab" * 32, "has only a v2 hash"),
            ("http://me:SECRET@x:0/y?k=SECRET", "http://x:0/y: port 0 cannot be connected to"),
            (str(self.base / "none.torrent"), "none.torrent: No such file"),
            (str(self.base), "Is a directory"),
            (str(self.base / "bad.torrent"), "bad.torrent: "),
        ):
            with self.subTest(source):
                self.write("")
                error = self.assertRaises(ConfigError, self.options, "--add", source)
                self.assertEqual((error.file, error.key), ("command line", "add"))
                self.assertIn(why, error.reason)
                self.assertNotIn("SECRET", str(error))
                self.write(f'add = ["{source}"]\n')
                error = self.assertRaises(ConfigError, self.options)
                self.assertEqual((error.file, error.key), (str(self.file), "add"))
        self.write("")
        self.options(
            "--add", str(self.base / "a:b.torrent"), "--add", "http://x/y", "--add", link + "ab" * 20
        )

    def test_passkeys_and_passwords_of_what_is_added_are_not_logged(self) -> None:
        link = "magnet:?xt=urn:btih:"
        urls = (
            "http://t.example/announce?passkey=SECRET",
            "htps://user:SECRET@t.example/a?k=SECRET",
            "user:SECRET@t.example",
            "htps://user:SEC?RET@t.example/a",
            "htps://user:SEC/RET@t.example/a",
            "user:SEC://RET@t.example/a",
            "http:/user:SECRET@t.example/a",
            "htps://user:" + "SECRET" * 20 + "@t.example/a",
        )
        parts = "".join(f"&{key}={quote(url, safe='')}" for url in urls for key in ("tr", "ws"))
        self.adding(
            f"{link}{'ab' * 20}{parts}",
            f"{link}{'cd' * 20}{parts}&so=9-5",
            f"{link}none{parts}",
            "http://me:SECRET@10.0.0.9/x.torrent?key=SECRET",
            "http://me:SECRET@10.0.0.9:0/x.torrent?key=SECRET",
        )
        told = "\n".join(line for _, line in self.logged)
        self.assertNotIn("SEC", told)
        self.assertNotIn("RET", told)
        self.assertIn(f"ignored in {'ab' * 20}: tr=htps://t.example/a: not the URL of a tracker", told)
        self.assertIn(f"{'cd' * 20} was not added: ", told)
        self.assertIn("a magnet link was not added: 'none' is not an info hash", told)
        self.assertIn("http://10.0.0.9/x.torrent was not added: ", told)
        self.assertIn("http://10.0.0.9:0/x.torrent was not added: ", told)

    def test_what_comes_from_a_url_and_is_no_torrent_is_logged_without_secrets(self) -> None:
        self.network.host("10.0.0.9").listenTCP(80, FileServer({"/x.torrent?key=SECRET": b"no torrent"}))
        self.adding("http://me:SECRET@10.0.0.9/x.torrent?key=SECRET")
        ((level, told),) = [line for line in self.logged if "was not added" in line[1]]
        self.assertEqual(level, LogLevel.error)
        self.assertTrue(told.startswith("http://10.0.0.9/x.torrent was not added: "), told)
        self.assertNotIn("SECRET", told)

    def taken(self, *, lists: bool = False) -> tuple[Peer, list[NetworkError]]:
        """A peer whose only port another program has, and what it is told; after a second with `lists`."""
        listed = self.base / "list"
        listed.write_text("nobody:192.0.2.1-192.0.2.1\n")
        files = [str(listed)] if lists else []
        self.write(f"[session]\nports = [6881]\nany_port = false\n[session.ip_filter]\nfiles = {files}\n")
        host = self.network.host("10.0.0.1")
        self.patch(host, "callFromThread", lambda call, *words: host.callLater(1, call, *words))
        port = host.listenTCP(6881, Factory())
        self.addCleanup(port.stopListening)
        told: list[NetworkError] = []
        return Peer(host, self.options().settings, deaf=told.append), told

    def test_a_peer_that_cannot_listen_does_not_start(self) -> None:
        peer, told = self.taken()
        error = self.assertRaises(NetworkError, peer.startService)
        self.assertIn("6881", str(error))
        self.stop(peer)
        self.assertEqual(told, [])

    def test_that_it_cannot_listen_is_told_once_the_address_lists_are_read(self) -> None:
        peer, told = self.taken(lists=True)
        peer.startService()
        self.assertEqual(told, [])
        self.network.run_until(lambda: bool(told), LIMIT)
        self.assertIn("6881", str(told[0]))
        self.stop(peer)
        self.assertEqual(len(told), 1)

    def test_who_is_stopped_before_it_listens_is_told_nothing(self) -> None:
        peer, told = self.taken(lists=True)
        peer.startService()
        self.stop(peer)
        self.network.advance(LIMIT)
        self.assertEqual(told, [])

    def test_a_number_that_cannot_be_meant_is_refused_with_its_file_and_key(self) -> None:
        for kind, name, key in NUMBERS:
            *tables, _ = key.split(".")
            table = ".".join(("session", *tables))
            heading = f"[[{table}]]" if tables[-1:] == ["classes"] else f"[{table}]"
            for number in ("-1", "0", "nan", "inf", "-1.0"):
                value = f"[{number}]" if isinstance(getattr(kind(), name), tuple) else number
                if number == "0" and key in MEANINGFUL_ZEROS:
                    continue
                self.write(f"{heading}\n{name} = {value}\n")
                error = self.assertRaises(ConfigError, self.options)
                self.assertEqual((error.file, error.key), (str(self.file), f"session.{key}"))

    def test_what_no_file_can_hold_is_an_unknown_key(self) -> None:
        self.write('[session.peer]\nreserved = "00000000"\n')
        error = self.assertRaises(ConfigError, self.options)
        self.assertEqual((error.key, error.reason), ("session.peer.reserved", "unknown key"))

    def test_options_win_over_the_file_when_it_is_read_again_too(self) -> None:
        self.write('downloads = "a"\n')
        options = self.options("--listen", "tcp:7000", "--add", "http://x/x")
        self.write('downloads = "b"\nadd = ["y.torrent"]\n[session]\nlisten = ["tcp:1"]\n')
        again = options.read()
        self.assertEqual(again.session.listen, ("tcp:7000",))
        self.assertEqual(again.session.state_dir, self.base / "state")
        self.assertEqual(again.downloads, self.base / "b")
        self.assertEqual(again.add, (str(self.base / "y.torrent"), "http://x/x"))

    def test_the_file_is_found_again_from_another_folder(self) -> None:
        """`twistd --rundir` goes there once the options are read."""
        self.write('downloads = "a"\n')
        here = os.getcwd()
        self.addCleanup(os.chdir, here)
        os.chdir(self.base)
        options = Options()
        options.parseOptions(["--config", "peer.toml"])
        os.chdir("/")
        self.assertEqual(options.read().downloads, self.base / "a")

    def test_relative_paths_of_the_file_are_from_its_folder_and_others_from_ours(self) -> None:
        link = f"magnet:?xt=urn:btih:{'ab' * 20}"
        (self.base / "x.torrent").write_bytes(TORRENT)
        self.write(
            f'downloads = "to"\nadd = ["x.torrent", "http://t.example/x", "{link}"]\n'
            '[session]\nstate_dir = "kept"\n[session.ip_filter]\nfiles = ["list", "/srv/list"]\n'
        )
        here = os.getcwd()
        self.addCleanup(os.chdir, here)
        os.chdir(self.base.parent)
        options = Options()
        options.parseOptions(["--config", f"{self.base.name}/peer.toml"])
        os.chdir(here)
        found = options.settings
        self.assertEqual((found.downloads, found.session.state_dir), (self.base / "to", self.base / "kept"))
        self.assertEqual(found.add, (str(self.base / "x.torrent"), "http://t.example/x", link))
        self.assertEqual(found.session.ip_filter.files, (self.base / "list", Path("/srv/list")))
        options = Options()
        options.parseOptions(["--config", str(self.file), "--state", "mine", "--downloads", "here"])
        found = options.settings
        self.assertEqual(
            (found.downloads, found.session.state_dir), (Path.cwd() / "here", Path.cwd() / "mine")
        )

    def test_without_a_file_the_signal_reads_no_settings(self) -> None:
        options = Options()
        options.parseOptions(["--state", str(self.base / "state")])
        self.assertEqual(options.read(), options.settings)
