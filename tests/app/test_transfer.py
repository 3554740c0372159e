"""The commands that speak to a network, on simulated hosts: what they tell, and what they leave alone."""

from __future__ import annotations

import errno
import io
import os
import shlex
from collections.abc import Coroutine
from contextlib import redirect_stderr
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

import click
from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.internet.protocol import Protocol, ServerFactory
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from bittwist.app import hashing_progress
from bittwist.app import share as share_module
from bittwist.app.choices import Choices
from bittwist.app.port import Port, opened
from bittwist.app.share import share
from bittwist.app.transfer import STOPPING, Goal, completion, download, seed, seeding
from bittwist.errors import NetworkError, SessionError, StorageError
from bittwist.metainfo.create import CreateOptions
from bittwist.metainfo.magnet import Magnet
from bittwist.metainfo.metainfo import Metainfo
from bittwist.session import SessionSettings
from bittwist.session.lifecycle import State
from bittwist.storage.hashing import create_torrent
from bittwist.storage.store import NOT_OURS
from bittwist.testing import SimulatedNetwork
from tests.app.reports import Told
from tests.metainfo import torrents
from tests.net.fileserver import FileServer
from tests.scale import SEED

EVERYTHING = Choices()
LIMIT = 120.0  # simulated seconds for what a test waits for


class TransferTests(SynchronousTestCase):
    def setUp(self) -> None:
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.base = Path(folder.name).resolve()
        self.network = SimulatedNetwork(SEED)
        self.report = Told()
        self.content = self.base / "share"
        self.content.mkdir()
        for number in range(3):
            (self.content / f"file-{number}").write_bytes(bytes([number]) * 40_000)

    def start(self, command: Coroutine[Deferred[Any], Any, int]) -> Deferred[int]:
        running = Deferred.fromCoroutine(command)
        self.addCleanup(self.end, running)
        return running

    def end(self, running: Deferred[int]) -> None:
        if not running.called:
            running.addErrback(lambda failure: failure.trap(CancelledError) and 130)
            running.cancel()
            self.network.result_of(running, LIMIT)  # it is `called` before it has stopped what it began

    def code(self, running: Deferred[int]) -> int:
        self.network.run_until(lambda: running.called, LIMIT)
        return self.successResultOf(running)

    def torrent(self, *trackers: str) -> Path:
        metainfo = create_torrent(self.content, CreateOptions(trackers=tuple((url,) for url in trackers)))
        path = self.base / "share.torrent"
        path.write_bytes(metainfo.encode())
        return path

    def download(
        self,
        source: object,
        folder: Path,
        *peers: str,
        force: bool = False,
        host: str = "10.0.0.2",
        choices: Choices = EVERYTHING,
    ) -> Deferred[int]:
        reactor = self.network.host(host)
        port = Port(None, None)
        return self.start(
            download(reactor, str(source), folder, port, peers, None, choices, force, self.report)
        )

    def seed(self, path: Path) -> Deferred[int]:
        metainfo = Metainfo.parse((self.base / "share.torrent").read_bytes())
        return self.start(
            seed(self.network.host("10.0.0.1"), metainfo, path, Port(None, None), (), Choices(), self.report)
        )

    def told(self, what: str) -> list[str]:
        return [str(line[1]) for line in self.report.lines if line[0] == what]

    def wait_for(self, what: str) -> None:
        self.network.run_until(lambda: bool(self.told(what)), LIMIT)


class DownloadTests(TransferTests):
    def test_what_a_seed_has_arrives(self) -> None:
        torrent = self.torrent()
        self.seed(self.content)
        self.wait_for("complete")
        self.assertEqual(self.code(self.download(torrent, self.base / "there", "10.0.0.1:6881")), 0)
        for file in self.content.iterdir():
            self.assertEqual((self.base / "there" / "share" / file.name).read_bytes(), file.read_bytes())
        self.assertEqual(os.listdir(self.base / "there"), ["share"])

    def test_the_rest_of_a_torrent_can_be_fetched_where_a_part_of_it_was(self) -> None:
        torrent = self.torrent()
        self.seed(self.content)
        self.wait_for("complete")
        there = self.base / "there"
        only = Choices(files=("file-1",))
        self.assertEqual(self.code(self.download(torrent, there, "10.0.0.1:6881", choices=only)), 0)
        self.assertEqual(os.listdir(there / "share"), ["file-1"])
        again = self.download(torrent, there, "10.0.0.1:6881", host="10.0.0.3")
        self.assertEqual(self.code(again), 0, self.told("failed"))
        for file in self.content.iterdir():
            self.assertEqual((there / "share" / file.name).read_bytes(), file.read_bytes())
        self.assertEqual(os.listdir(there), ["share"])

    def test_one_torrent_is_downloaded_into_a_folder_once_at_a_time(self) -> None:
        torrent = self.torrent()
        there = self.base / "there"
        first = self.download(torrent, there)
        self.wait_for("listening")
        self.assertEqual(self.code(self.download(torrent, there, host="10.0.0.3")), 1)
        self.assertEqual(self.told("failed"), [f"{there}: this torrent is being downloaded into it already"])
        self.assertTrue((there / ".bittwist").exists())
        ended: list[object] = []
        first.addErrback(lambda failure: failure.trap(CancelledError)).addCallback(ended.append)
        first.cancel()
        self.network.run_until(lambda: bool(ended), LIMIT)
        self.seed(self.content)
        self.wait_for("complete")
        again = self.download(torrent, there, "10.0.0.1:6881", host="10.0.0.3")
        self.assertEqual(self.code(again), 0, self.told("failed"))
        self.assertEqual(os.listdir(there), ["share"])

    def test_a_link_that_wants_files_there_are_none_of_fails(self) -> None:
        torrent = self.torrent()
        self.seed(self.content)
        self.wait_for("complete")
        link = f"{Magnet.of(Metainfo.parse(torrent.read_bytes()))}&so=99"
        self.assertEqual(self.code(self.download(link, self.base / "there", "10.0.0.1:6881")), 1)
        self.assertIn("the link wants files that share has not", self.told("failed")[0])

    def test_what_cannot_be_fetched_is_refused_before_anything_is_opened(self) -> None:
        info, layers = torrents.v2()
        (self.base / "v2.torrent").write_bytes(torrents.torrent(info, piece_layers=layers))
        (self.base / "broken.torrent").write_bytes(b"no torrent")
        unsafe = torrents.v1_single(name="..")
        (self.base / "unsafe.torrent").write_bytes(torrents.torrent(unsafe))
        good = self.torrent()
        (self.base / "file").write_bytes(b"x")
        for source, folder, why in (
            ("v2.torrent", "there", f"{self.base / 'v2.torrent'}: this torrent has only a v2 form, which"),
            ("unsafe.torrent", "there", f"{self.base / 'unsafe.torrent'}: nothing safe is left of the name"),
            ("broken.torrent", "there", "broken.torrent: "),
            ("nothing.torrent", "there", "nothing.torrent: No such file"),
            (good.name, "file", f"{self.base / 'file'}: is not a folder"),
            (good.name, "file/below", f"{self.base / 'file'}: is not a folder"),
        ):
            with self.subTest(source=source, folder=folder):
                code = self.code(self.download(self.base / source, self.base / folder))
                self.assertEqual(code, 1)
                self.assertEqual([line[0] for line in self.report.lines], ["failed", "closed"])
                self.assertIn(why, self.told("failed")[0])
                self.report.take()
        self.assertEqual(
            sorted(os.listdir(self.base)),
            sorted(["v2.torrent", "broken.torrent", "unsafe.torrent", "share.torrent", "file", "share"]),
        )

    def test_a_link_with_only_a_v2_hash_is_refused_before_anything_is_opened(self) -> None:
        link = "magnet:?xt=urn:btmh:1220" + "cd" * 32
        self.assertEqual(self.code(self.download(link, self.base / "there")), 1)
        self.assertEqual([line[0] for line in self.report.lines], ["failed", "closed"])
        self.assertIn("only a v2 hash", self.told("failed")[0])

    def test_globs_that_match_nothing_are_wrong_usage_before_anything_is_opened(self) -> None:
        torrent = self.torrent()
        running = self.download(torrent, self.base / "there", choices=Choices(files=("*.mkv",)))
        self.network.run_until(lambda: running.called, LIMIT)
        wrong = self.failureResultOf(running, click.UsageError).value
        self.assertEqual(wrong.format_message(), "--files: no file of share matches *.mkv")
        self.assertEqual(self.report.lines, [("closed",)])
        self.assertFalse((self.base / "there").exists())

    def test_what_is_ignored_of_a_link_is_told_first(self) -> None:
        torrent = self.torrent()
        self.seed(self.content)
        self.wait_for("complete")
        link = f"{Magnet.of(Metainfo.parse(torrent.read_bytes()))}&so=1,9-5&x.pe=10.0.0.1:0"
        self.report.take()
        self.assertEqual(self.code(self.download(link, self.base / "there", "10.0.0.1:6881")), 0)
        self.assertEqual([line[0] for line in self.report.lines[:3]], ["ignored", "ignored", "listening"])
        self.assertEqual(
            self.told("ignored"),
            ["x.pe=10.0.0.1:0: nobody can be dialed at port 0", "so=9-5: the range runs backwards"],
        )
        self.assertEqual(os.listdir(self.base / "there" / "share"), ["file-1"])

    def test_whom_a_download_waits_for_is_said_within_six_seconds(self) -> None:
        link = "magnet:?xt=urn:btih:" + "ab" * 20
        url = "http://10.0.0.9:80/announce"
        self.network.host("10.0.0.9").listenTCP(
            80, ServerFactory.forProtocol(Protocol)
        )  # takes, never answers
        for source, trackers, why in (
            (self.torrent(url), [(url, "no answer yet")], "its tracker has not answered yet"),
            (link, [], "names no tracker"),
        ):
            with self.subTest(why):
                self.report.take()
                began = self.network.seconds()
                running = self.download(source, self.base / "there")
                self.wait_for("alone")
                if trackers:
                    self.wait_for("tracker")
                self.assertLess(self.network.seconds() - began, 6.0)
                self.assertIn(why, self.told("alone")[0])
                self.assertEqual([line[1:] for line in self.report.lines if line[0] == "tracker"], trackers)
                self.end(running)

    def test_an_interrupted_download_says_that_it_takes_leave(self) -> None:
        running = self.download(self.torrent(), self.base / "there")
        self.wait_for("alone")
        self.end(running)
        self.assertEqual(self.told("say"), [STOPPING])

    def test_a_peer_whose_name_is_not_found_is_named(self) -> None:
        self.download(self.torrent(), self.base / "there", "nobody.example:1")
        self.wait_for("unreachable")
        self.assertIn("nobody.example:1", self.told("unreachable")[0])

    def test_a_folder_that_may_not_be_written_to_is_named(self) -> None:
        torrent = self.torrent()
        with mock.patch("os.access", lambda path, mode: False):
            self.assertEqual(self.code(self.download(torrent, self.base / "there")), 1)
        self.assertEqual(self.told("failed"), [f"{self.base}: is a folder that cannot be written to"])

    def test_a_file_in_the_place_of_a_folder_is_named(self) -> None:
        torrent = self.torrent()
        for name in ("share", ".bittwist"):
            with self.subTest(name):
                self.report.take()
                wrong = self.base / f"to{name}" / name
                wrong.parent.mkdir()
                wrong.write_bytes(b"mine")
                self.assertEqual(self.code(self.download(torrent, wrong.parent)), 1)
                self.assertEqual(self.told("failed"), [f"{wrong}: is a file"])
                self.assertEqual(wrong.read_bytes(), b"mine")

    def test_files_of_others_are_written_over_only_by_force_which_is_named(self) -> None:
        torrent = self.torrent()
        theirs = self.base / "there" / "share" / "file-1"
        theirs.parent.mkdir(parents=True)
        theirs.write_bytes(b"something else")
        self.assertEqual(self.code(self.download(torrent, self.base / "there")), 1)
        self.assertEqual(
            self.told("failed"),
            [f"share/file-1: {NOT_OURS} (--force writes over it)"],
        )
        self.assertEqual(theirs.read_bytes(), b"something else")

    def test_a_tracker_that_cannot_be_reached_is_told_of_and_so_is_having_no_peers(self) -> None:
        self.download(self.torrent("http://10.0.0.9:1/announce"), self.base / "there")
        self.wait_for("alone")
        self.assertEqual(self.told("alone"), ["its tracker does not answer"])
        ((_, url, error),) = [line for line in self.report.lines if line[0] == "tracker"]
        self.assertEqual(url, "http://10.0.0.9:1/announce")
        self.assertNotIn("10.0.0.9", str(error))


class SeedTests(TransferTests):
    def test_a_file_that_has_changed_is_named_and_left_as_it_is(self) -> None:
        self.torrent()
        changed = self.content / "file-1"
        changed.write_bytes(bytes([1]) * 39_999 + b"x")
        self.assertEqual(self.code(self.seed(self.content)), 1)
        self.assertEqual(self.told("failed"), [f"{changed}: it has changed: 1 of its 3 pieces are wrong"])
        self.assertEqual(changed.read_bytes(), bytes([1]) * 39_999 + b"x")

    def test_a_file_that_is_another_altogether_is_said_to_have_changed_too(self) -> None:
        self.torrent()
        for file in self.content.iterdir():
            file.write_bytes(b"y" * 40_000)
        self.assertEqual(self.code(self.seed(self.content)), 1)
        self.assertIn("file-0: it has changed: ", self.told("failed")[0])

    def test_a_file_that_is_missing_is_named_before_anything_is_opened_and_not_made(self) -> None:
        self.torrent()
        (self.content / "file-2").unlink()
        self.assertEqual(self.code(self.seed(self.base)), 1)
        self.assertEqual(self.told("failed"), [f"{self.content / 'file-2'}: is not there with 40000 bytes"])
        self.assertEqual(self.told("listening"), [])
        self.assertFalse((self.content / "file-2").exists())

    def test_an_address_of_another_machine_is_not_blamed_on_the_port(self) -> None:
        self.torrent()
        metainfo = Metainfo.parse((self.base / "share.torrent").read_bytes())
        host = self.network.host("10.0.0.1")
        for bind, number in (("10.0.0.77", None), ("10.0.0.77", 7000), ("fd77::9", 0)):
            with self.subTest(bind, number=number):
                self.report.take()
                port = Port(bind, number)
                running = self.start(seed(host, metainfo, self.content, port, (), Choices(), self.report))
                self.assertEqual(self.code(running), 1)
                self.assertEqual(self.told("failed"), [f"{bind}: --bind names no address of this machine"])

    def test_the_port_option_is_named_only_where_another_port_helps(self) -> None:
        for reason, named in (
            (f"10.0.0.1:80: {os.strerror(errno.EACCES).lower()}", True),
            (f"10.0.0.1:80: {os.strerror(errno.EADDRINUSE).lower()}", True),
            (f"10.0.0.1:80: {os.strerror(errno.EADDRNOTAVAIL).lower()}", False),  # without --bind
            ("10.0.0.1:80: too many open files", False),
        ):
            with self.subTest(reason):
                session = mock.Mock(settings=SessionSettings())
                session.when_listening = lambda reason=reason: fail(NetworkError("10.0.0.1:80", reason))
                told = self.failureResultOf(Deferred.fromCoroutine(opened(session)), SessionError).value
                self.assertTrue(str(told).startswith(reason))
                self.assertEqual("--port" in str(told), named)

    def test_a_busy_port_is_named_once_and_so_is_the_option(self) -> None:
        self.torrent()
        host = self.network.host("10.0.0.1")
        host.listenTCP(7000, ServerFactory())
        metainfo = Metainfo.parse((self.base / "share.torrent").read_bytes())
        running = self.start(seed(host, metainfo, self.content, Port(None, 7000), (), Choices(), self.report))
        self.assertEqual(self.code(running), 1)
        (told,) = self.told("failed")
        self.assertEqual(told.count("0.0.0.0"), 1)
        self.assertIn("0.0.0.0:7000: ", told)
        self.assertIn("--port", told)


class LookingTests(SynchronousTestCase):
    """What is told while a transfer goes on, and how often."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.looks: list[float] = []
        self.complete: Deferred[None] = Deferred()
        self.torrent = mock.Mock(state=State.SEEDING, reason="the disk is gone")
        self.torrent.when_complete = lambda: self.complete
        self.watch = mock.Mock()
        self.watch.look = lambda _torrent, now: self.looks.append(now)

    def start(self, work: Coroutine[Deferred[Any], Any, None]) -> Deferred[None]:
        running = Deferred.fromCoroutine(work)
        self.addCleanup(running.addErrback, lambda failure: failure.trap(CancelledError) and None)
        self.addCleanup(running.cancel)
        return running

    def transfers(self) -> list[Deferred[None]]:
        return [
            self.start(seeding(self.clock, self.torrent, Goal(), self.watch)),
            self.start(completion(self.clock, self.torrent, self.watch)),
        ]

    def test_progress_comes_at_least_twice_a_second_although_every_look_is_late(self) -> None:
        for transfer in (
            seeding(self.clock, self.torrent, Goal(), self.watch),
            completion(self.clock, self.torrent, self.watch),
        ):
            self.looks.clear()
            running = self.start(transfer)
            self.clock.pump([0.009] * round(60 / 0.009))
            self.assertGreaterEqual(len(self.looks) - 1, 120)  # the first is at once
            running.cancel()
            self.failureResultOf(running, CancelledError)

    def test_a_transfer_that_cannot_be_told_of_ends(self) -> None:
        def refuse(_torrent: object, _now: float) -> None:
            raise StorageError("standard output", "no room")

        self.watch.look = refuse
        for running in self.transfers():
            self.failureResultOf(running, StorageError)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_transfer_that_can_be_told_of_no_more_ends(self) -> None:
        def refuse(_torrent: object, now: float) -> None:
            if now > 1.0:
                raise StorageError("standard output", "no room")

        self.watch.look = refuse
        running = self.transfers()
        self.clock.pump([0.5] * 3)
        for each in running:
            self.failureResultOf(each, StorageError)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_transfer_that_is_cancelled_is_looked_at_no_more(self) -> None:
        for running in self.transfers():
            running.cancel()
            self.failureResultOf(running, CancelledError)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_seeding_ends_at_its_goal_or_when_the_torrent_fails(self) -> None:
        running = self.start(seeding(self.clock, self.torrent, Goal(seconds=10.0), self.watch))
        self.clock.pump([0.1] * 99)
        self.assertNoResult(running)
        self.clock.pump([0.1] * 10)
        self.successResultOf(running)
        self.torrent.state = State.FAILED
        running = self.start(seeding(self.clock, self.torrent, Goal(), self.watch))
        self.assertEqual(str(self.failureResultOf(running, SessionError).value), "the disk is gone")
        self.assertEqual(self.clock.getDelayedCalls(), [])


class WebSeedTests(TransferTests):
    def test_a_download_from_a_web_seed_alone_completes_and_does_not_speak_of_peers(self) -> None:
        names = [f"file-{number}" for number in range(3)]
        server = FileServer({f"/share/{name}": (self.content / name).read_bytes() for name in names})
        host = self.network.host("20.0.0.1")
        host.listenTCP(80, server)
        host.limit(upload=5_000)  # longer than it takes to say that nobody is there
        path = self.base / "share.torrent"
        options = CreateOptions(web_seeds=("http://20.0.0.1/",))
        path.write_bytes(create_torrent(self.content, options).encode())
        self.assertEqual(self.code(self.download(path, self.base / "there")), 0)
        self.assertGreater(self.network.seconds(), 20)
        self.assertEqual((self.told("alone"), self.told("failed")), ([], []))
        for name in names:
            self.assertEqual(
                (self.base / "there" / "share" / name).read_bytes(), (self.content / name).read_bytes()
            )


class ShareTests(TransferTests):
    def share(self, address: str, host: str, http_port: int = 6969) -> Deferred[int]:
        reactor = self.network.host(host)
        return self.start(share(reactor, self.content, address, Port(None, None), http_port, self.report))

    def line(self) -> str:
        self.network.run_until(lambda: any("bittwist download" in line for line in self.told("say")), LIMIT)
        (line,) = [line for line in self.told("say") if "bittwist download" in line]
        return shlex.split(line)[-1]

    def test_the_printed_line_works_over_either_family(self) -> None:
        for giver, taker in (("10.0.0.1", "10.0.0.2"), ("fd77::1", "fd77::2")):
            with self.subTest(giver):
                sharing = self.share(giver, giver)
                url = self.line()
                self.report.take()
                there = self.base / taker.replace(":", "_")
                self.assertEqual(self.code(self.download(url, there, host=taker)), 0)
                self.assertEqual((there / "share" / "file-1").read_bytes(), bytes([1]) * 40_000)
                self.report.take()
                self.end(sharing)

    def test_a_report_that_cannot_be_closed_leaves_nothing_open(self) -> None:
        def refuse() -> None:
            raise StorageError("standard output", "no room")

        self.patch(self.report, "close", refuse)
        sharing = self.share("10.0.0.1", "10.0.0.1")
        self.line()
        sharing.cancel()
        self.assertRaises(StorageError, self.network.result_of, sharing, LIMIT)
        self.network.advance(1)  # what is still on its way arrives
        self.network.assert_quiet()

    def test_a_shell_takes_the_printed_line_as_it_is(self) -> None:
        self.share("fd77::1", "fd77::1")
        self.line()
        self.assertIn("    bittwist download 'http://[fd77::1]:6969/share.torrent'", self.told("say"))

    def test_while_it_hashes_it_says_how_far_it_is_and_what_is_left_out(self) -> None:
        (self.content / "link").symlink_to("/etc/passwd")
        with (
            mock.patch.object(hashing_progress, "PLAIN_EVERY", 0.0),
            redirect_stderr(io.StringIO()) as err,
        ):
            self.share("10.0.0.1", "10.0.0.1")
            self.line()
        self.assertIn(f"Left out, for it is no file: {self.content / 'link'}\n", err.getvalue())
        self.assertIn("Hashing: 100 % of 117.2 KiB\n", err.getvalue())

    def test_a_busy_port_names_the_option(self) -> None:
        self.share("10.0.0.1", "10.0.0.1")
        self.line()
        self.report.take()
        self.assertEqual(self.code(self.share("10.0.0.1", "10.0.0.1")), 1)
        self.assertIn("--http-port", self.told("failed")[0])
        self.assertIn("0.0.0.0:6969: ", self.told("failed")[0])

    def test_without_an_address_others_reach_it_says_so_and_names_the_option(self) -> None:
        for found, said in (("10.0.0.1", ""), (None, "--address")):
            with (
                mock.patch.object(share_module, "own_address", lambda found=found: found),
                redirect_stderr(io.StringIO()) as err,
            ):
                self.assertEqual(share_module.found_address(), found or "127.0.0.1")
            self.assertIn(said, err.getvalue())
            self.assertEqual(bool(said), "127.0.0.1" in err.getvalue())

    def test_seeds_are_told_of_each_other_for_clients_that_are_none_yet(self) -> None:
        with mock.patch.object(share_module, "Tracker", wraps=share_module.Tracker) as made:
            self.share("10.0.0.1", "10.0.0.1")
        self.assertTrue(made.call_args.args[1].seeds_meet_seeds)
