"""A download to which nothing comes says why: who was named and is not met, who has no metadata."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stdout

from twisted.trial.unittest import SynchronousTestCase

from bittwist.app.named_peers import NamedPeers
from bittwist.app.report import JsonReport
from bittwist.app.watch import ALONE_FOR
from bittwist.errors import StorageError
from bittwist.metainfo.create import CreateOptions
from bittwist.net.policy import Network
from bittwist.storage.hashing import create_torrent
from bittwist.testing import SimulatedNetwork
from tests.app.test_transfer import TransferTests
from tests.net.fileserver import FileServer

LINK = "magnet:?xt=urn:btih:" + "11" * 20


class NamedTests(TransferTests):
    def unreachable(self) -> list[tuple[object, ...]]:
        return [line[1:] for line in self.report.lines if line[0] == "unreachable"]

    def test_whom_a_link_names_is_told_of_by_name_if_not_found_or_refusing(self) -> None:
        self.network.names.set("some.example", "10.0.0.9")
        self.network.host("10.0.0.9")
        link = f"{LINK}&x.pe=nobody.example:1&x.pe=some.example:9"
        running = self.download(link, self.base / "there")
        self.wait_for("alone")
        self.assertEqual(
            self.unreachable(),
            [("nobody.example:1", "no such host"), ("some.example:9", "connection refused")],
        )
        self.assertEqual(self.told("alone"), ["10.0.0.9:9: connection refused"])
        self.network.advance(200)
        self.assertEqual(len(self.unreachable()), 2)
        self.end(running)

    def test_a_download_that_cannot_tell_of_who_is_not_found_ends(self) -> None:
        def refuse(_peer: str, _why: str) -> None:
            raise StorageError("standard output", "no room")

        self.patch(self.report, "unreachable", refuse)
        running = self.download(self.torrent(), self.base / "there", "nobody.example:1")
        self.assertEqual(self.code(running), 1)
        self.assertEqual(self.told("failed"), ["standard output: no room"])

    def test_a_peer_on_the_command_line_is_told_of_like_it_by_download_and_seed(self) -> None:
        self.network.host("10.0.0.9")
        torrent = self.torrent()
        running = self.download(torrent, self.base / "there", "10.0.0.9:9")
        self.wait_for("unreachable")
        self.assertEqual(self.unreachable(), [("10.0.0.9:9", "connection refused")])
        self.end(running)

    def test_magnet_links_that_know_only_each_other_say_that_nobody_has_the_metadata(self) -> None:
        first = self.download(LINK, self.base / "a", host="10.0.0.1")
        self.wait_for("listening")
        second = self.download(f"{LINK}&x.pe=10.0.0.1:6881", self.base / "b", host="10.0.0.2")
        third = self.download(f"{LINK}&x.pe=10.0.0.1:6881", self.base / "c", host="10.0.0.3")
        self.report.take()
        self.network.run_until(lambda: len(self.told("no metadata")) >= 3, 4 * ALONE_FOR)
        self.assertIn("none of 2 peers has the metadata yet", self.told("no metadata"))
        self.assertLess(len(self.told("no metadata")), 7)
        for running in (first, second, third):
            self.end(running)

    def test_what_sources_brought_is_the_whole_when_a_program_sums_it(self) -> None:
        names = [f"file-{number}" for number in range(3)]
        server = FileServer({f"/share/{name}": (self.content / name).read_bytes() for name in names})
        web = self.network.host("20.0.0.1")
        web.listenTCP(80, server)
        path = self.torrent()
        self.seed(self.content)
        self.wait_for("complete")
        for host in (web, self.network.host("10.0.0.1")):
            host.limit(upload=20_000)
        options = CreateOptions(web_seeds=("http://20.0.0.1/",))
        path.write_bytes(create_torrent(self.content, options).encode())
        self.report = JsonReport()  # type: ignore[assignment]  # in place of what only writes down
        with redirect_stdout(io.StringIO()) as out:
            self.assertEqual(self.code(self.download(path, self.base / "there", "10.0.0.1:6881")), 0)
        events = [json.loads(line) for line in out.getvalue().splitlines()]
        last = {
            (each["name"], each["detail"]): each["downloaded"] for each in events if each["event"] == "source"
        }
        self.assertEqual(set(last), {("manual", ""), ("web_seed", "http://20.0.0.1/")})
        self.assertEqual(sum(last.values()), 3 * 40_000, last)


class LookUpTests(SynchronousTestCase):
    def test_look_ups_end_with_it_and_nothing_more_is_told(self) -> None:
        network = SimulatedNetwork()
        host = network.host("10.0.0.1")
        told: list[str] = []
        named = NamedPeers(lambda peer, why: told.append(peer))
        named.dial(Network(host), Nobody(), ["nobody.example:1"])
        named.stop()
        network.advance(60)
        self.assertEqual(told, [])
        network.assert_quiet()

    def test_who_is_not_found_is_told_of_once_by_look_which_fails_as_who_is_told_does(self) -> None:
        network = SimulatedNetwork()
        told: list[tuple[str, str]] = []

        def tell(peer: str, why: str) -> None:
            told.append((peer, why))
            raise StorageError("standard output", "no room")

        named = NamedPeers(tell)
        named.dial(Network(network.host("10.0.0.1")), Nobody(), ["nobody.example:1"])
        network.advance(60)
        self.assertEqual(told, [])
        self.assertRaises(StorageError, named.look, Nobody())
        named.look(Nobody())
        self.assertEqual(told, [("nobody.example:1", "no such host")])

    def test_a_name_of_several_addresses_is_not_met_when_none_of_them_is(self) -> None:
        network = SimulatedNetwork()
        network.names.set("two.example", "10.0.0.8", "10.0.0.9")
        told: list[tuple[str, str]] = []
        named = NamedPeers(lambda peer, why: told.append((peer, why)))
        torrent = Nobody()
        named.dial(Network(network.host("10.0.0.1")), torrent, ["two.example:5"])
        network.advance(1)
        for troubles, news in (
            ({"10.0.0.8:5": "connection refused"}, []),
            (
                {"10.0.0.8:5": "connection refused", "10.0.0.9:5": "timed out"},
                ["connection refused; timed out"],
            ),
            ({"10.0.0.8:5": "connection refused", "10.0.0.9:5": "timed out"}, []),
            ({"10.0.0.8:5": "timed out"}, []),
            ({"10.0.0.8:5": "timed out", "10.0.0.9:5": "timed out"}, ["timed out"]),
        ):
            told.clear()
            torrent.troubles = troubles
            named.look(torrent)
            self.assertEqual(told, [("two.example:5", why) for why in news])


class Nobody:
    """A torrent as far as it is dialed for."""

    def __init__(self) -> None:
        self.troubles: dict[str, str] = {}

    def add_peers(self, addresses: object, source: str = "manual") -> None:
        """They stay where they are."""

    def trouble(self, address: object) -> str:
        return self.troubles.get(str(address), "")
