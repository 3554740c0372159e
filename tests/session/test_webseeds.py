"""Downloads from web seeds on simulated hosts: alone, beside peers, with trouble on the way."""

from dataclasses import replace
from urllib.parse import quote

from twisted.trial.unittest import SynchronousTestCase

from bittwist.errors import MetainfoError
from bittwist.metainfo.magnet import Magnet
from bittwist.metainfo.metainfo import Metainfo
from bittwist.peer.webseed import WebSeedSettings
from bittwist.session import SessionSettings
from bittwist.session.limits import LimitSettings
from bittwist.session.webseeds import WebSeedState
from tests.net.fileserver import FileServer
from tests.session.swarm import Swarm
from tests.session.torrents import content, torrent

DATA = content(3_000_000)
METAINFO = torrent(DATA, piece_length=65536)
URL = "http://20.0.0.1/data.bin"


class WebSeedCase(SynchronousTestCase):
    """A leech at 10.0.0.2, and web servers where a test has them."""

    settings = SessionSettings(ports=(6881,))

    def setUp(self):
        self.swarm = Swarm()
        self.ports = []
        self.leech = self.swarm.session("10.0.0.2", settings=self.settings)

    def serve(self, files, script=None, address="20.0.0.1"):
        server = FileServer(files, *([script] if script else []))
        port = self.swarm.network.host(address).listenTCP(80, server)
        self.ports.append(port)
        return server

    def fetch(self, metainfo=METAINFO, *urls, peers=()):
        return self.swarm.add(self.leech, replace(metainfo, web_seeds=urls or (URL,)), peers)

    def until_complete(self, fetching, metainfo=METAINFO, data=DATA, limit=600):
        took = self.swarm.until_complete(fetching, limit=limit)
        self.assertEqual(self.swarm.data("10.0.0.2", metainfo.info), data)
        return took

    def status(self, fetching):
        (status,) = fetching.web_seeds()
        return status

    def quiet(self):
        for port in self.ports:
            port.stopListening()
        self.swarm.quiet()


class AloneTests(WebSeedCase):
    def test_a_web_seed_alone_completes_a_download(self):
        server = self.serve({"/data.bin": DATA})
        fetching = self.fetch()
        self.until_complete(fetching)
        self.assertEqual(fetching.tally.downloaded, len(DATA))
        self.assertEqual((fetching.tally.wasted, fetching.tally.failed_pieces), (0, 0))
        self.assertLessEqual(len(server.visitors), 3)
        self.assertLess(len(server.asked), 12, "ranges are long")
        status = self.status(fetching)
        self.assertEqual((status.url, status.state, status.error), (URL, WebSeedState.IDLE, ""))
        self.assertEqual(status.downloaded, len(DATA))
        self.quiet()

    def test_it_shows_how_it_goes(self):
        self.serve({"/data.bin": DATA})
        self.swarm.network.host("20.0.0.1").limit(upload=200_000)
        fetching = self.fetch()
        self.swarm.network.advance(8)
        status = self.status(fetching)
        self.assertIs(status.state, WebSeedState.WORKING)
        self.assertTrue(160_000 < status.rate < 240_000, status.rate)
        self.assertEqual(fetching.statistics().web_seeds, 1)
        self.assertEqual(fetching.statistics().peers, 0)
        self.quiet()

    def test_a_file_in_a_folder_gets_the_name_of_the_torrent(self):
        metainfo = torrent(DATA, piece_length=65536, name="Ein Stück & mehr.bin")
        server = self.serve({"/pub/Ein%20St%C3%BCck%20%26%20mehr.bin": DATA})
        self.until_complete(self.fetch(metainfo, "http://20.0.0.1/pub/"), metainfo)
        self.assertEqual({target for target, _ in server.asked}, set(server.files))
        self.quiet()

    def test_files_of_a_folder_are_asked_for_one_by_one_and_neither_padding_nor_empty_ones(self):
        sizes = (100_000, 0, 31_072, 5, 700_000, 1)
        paths = [("a b", "ü.bin"), ("leer",), (".pad", "31072"), ("c",), ("d", "e", "f"), ("g",)]
        data, files, here, at = b"", [], {}, 0
        for path, size in zip(paths, sizes, strict=True):
            part = bytes(size) if path[0] == ".pad" else content(size, b"%d" % at)
            files.append((path, size))
            here["/root/N%20N/" + "/".join(path).replace(" ", "%20").replace("ü", "%C3%BC")] = part
            data, at = data + part, at + size
        metainfo = padded(torrent(data, piece_length=32768, name="N N", files=files))
        server = self.serve(here)
        self.until_complete(self.fetch(metainfo, "http://20.0.0.1/root"), metainfo, data)
        asked = {target for target, _ in server.asked}
        self.assertEqual(asked, {url for url, part in here.items() if part and ".pad" not in url})
        self.quiet()

    def test_names_that_are_not_utf_8_are_asked_for_as_they_are(self):
        metainfo = torrent(DATA, piece_length=65536, name="x", files=[(("NAME",), len(DATA))])
        raw = metainfo.encode().replace(b"4:NAME", b"4:na\xefv")
        metainfo = Metainfo.parse(raw)
        self.serve({"/x/na%EFv": DATA})
        self.until_complete(self.fetch(metainfo, "http://20.0.0.1/"), metainfo)
        self.quiet()

    def test_a_script_is_asked_for_pieces(self):
        data = DATA[:300_000]
        metainfo = torrent(data, piece_length=65536)
        hash_ = quote(metainfo.info.info_hash.short, safe="")

        def script(visitor):
            query = dict(each.split("=") for each in visitor.target.partition("?")[2].split("&"))
            first = 65536 * int(query["piece"])
            assert query["info_hash"] == hash_
            if len(server.asked) == 2:
                visitor.answer(b"7", 503)
            else:
                visitor.answer(data[first : first + 65536])

        server = self.serve({}, script)
        metainfo = replace(metainfo, http_seeds=("http://20.0.0.1/seed.php",))
        fetching = self.swarm.add(self.leech, metainfo)
        self.until_complete(fetching, metainfo, data)
        self.assertIn((f"/seed.php?info_hash={hash_}&piece=4", None), server.asked)
        self.quiet()

    def test_one_that_may_not_be_used_is_not_asked(self):
        self.leech.apply(replace(self.settings, web_seeds=WebSeedSettings(enabled=False)))
        server = self.serve({"/data.bin": DATA})
        fetching = self.fetch()
        self.swarm.network.advance(60)
        self.assertEqual(server.asked, [])
        self.assertIs(self.status(fetching).state, WebSeedState.IDLE)
        self.quiet()

    def test_a_private_torrent_has_them_too(self):
        metainfo = torrent(DATA, piece_length=65536, private=1)
        self.serve({"/data.bin": DATA})
        self.until_complete(self.fetch(metainfo), metainfo)
        self.quiet()

    def test_those_of_a_magnet_link_are_asked_when_the_metadata_has_come(self):
        self.serve({"/data.bin": DATA})
        half = self.swarm.session("10.0.0.1", DATA[:65536] + bytes(len(DATA) - 65536))
        self.swarm.add(half, METAINFO)
        link = f"magnet:?xt=urn:btih:{METAINFO.info.info_hash}&x.pe=10.0.0.1:6881&ws={URL}"
        self.until_complete(self.swarm.add(self.leech, Magnet.parse(link)))
        self.quiet()


class WhileRunningTests(WebSeedCase):
    def test_one_that_is_added_is_asked_at_once_and_remembered(self):
        fetching = self.swarm.add(self.leech, METAINFO)
        self.swarm.network.advance(3)
        self.serve({"/data.bin": DATA})
        fetching.add_web_seed(URL)
        fetching.add_web_seed(URL)
        self.assertEqual(fetching.saved().source.web_seeds, (URL,))
        self.assertRaises(MetainfoError, fetching.add_web_seed, "ftp://20.0.0.1/")
        self.until_complete(fetching)
        self.quiet()

    def test_one_that_is_removed_is_asked_no_more(self):
        server = self.serve({"/data.bin": DATA})
        self.swarm.network.host("20.0.0.1").limit(upload=200_000)
        fetching = self.fetch()
        self.swarm.network.advance(3)
        fetching.remove_web_seed(URL)
        came = fetching.tally.downloaded
        self.swarm.network.advance(60)
        self.assertEqual(fetching.tally.downloaded, came)
        self.assertTrue(all(visitor.closed for visitor in server.visitors))
        self.assertEqual((fetching.web_seeds(), fetching.saved().source.web_seeds), ((), ()))
        self.quiet()

    def test_stopping_closes_every_connection_and_starting_goes_on(self):
        server = self.serve({"/data.bin": DATA})
        self.swarm.network.host("20.0.0.1").limit(upload=200_000)
        fetching = self.fetch()
        self.swarm.network.advance(5)
        self.swarm.network.result_of(fetching.stop())
        self.swarm.network.advance(1)
        self.assertTrue(all(visitor.closed for visitor in server.visitors))
        came = fetching.tally.downloaded
        self.assertTrue(0 < came < len(DATA))
        fetching.start()
        self.until_complete(fetching)
        self.quiet()

    def test_nothing_is_read_while_the_disk_is_behind(self):
        self.serve({"/data.bin": DATA})
        self.swarm.network.host("20.0.0.1").limit(upload=200_000)
        fetching = self.fetch()
        self.swarm.network.advance(3)
        fetching.pause_peers()
        came = fetching.tally.downloaded
        self.swarm.network.advance(200)
        self.assertEqual(fetching.tally.downloaded, came)
        self.assertEqual(self.status(fetching).error, "")
        fetching.resume_peers()
        self.until_complete(fetching)
        self.quiet()

    def test_a_limit_holds_and_nobody_is_late_for_it(self):
        self.leech.apply(replace(self.settings, limits=LimitSettings(download_rate=100_000)))
        self.serve({"/data.bin": DATA})
        fetching = self.fetch()
        took = self.until_complete(fetching)
        self.assertTrue(28 < took < 34, took)
        self.assertLess(fetching.tally.wasted, len(DATA) / 20)
        self.quiet()

    def test_only_so_many_are_asked_at_once_and_others_take_the_place_of_the_useless(self):
        self.leech.apply(replace(self.settings, web_seeds=WebSeedSettings(max_per_torrent=1)))
        first = self.serve({})
        second = self.serve({"/data.bin": DATA}, address="20.0.0.2")
        third = self.serve({"/data.bin": DATA}, address="20.0.0.3")
        fetching = self.fetch(METAINFO, URL, "http://20.0.0.2/data.bin", "http://20.0.0.3/data.bin")
        self.until_complete(fetching)
        self.assertEqual([bool(s.asked) for s in (first, second, third)], [True, True, False])
        self.assertIs(fetching.web_seeds()[0].state, WebSeedState.REFUSED)
        self.quiet()


class BesidePeersTests(WebSeedCase):
    def test_a_peer_and_a_web_seed_share_the_work(self):
        self.serve({"/data.bin": DATA})
        self.swarm.session("10.0.0.1", DATA)
        self.swarm.add(self.swarm.sessions[-1], METAINFO)
        for address in ("10.0.0.1", "20.0.0.1"):
            self.swarm.network.host(address).limit(upload=300_000)
        fetching = self.fetch(peers=["10.0.0.1:6881"])
        self.until_complete(fetching, limit=8)
        from_web = self.status(fetching).downloaded
        self.assertTrue(0.25 < from_web / len(DATA) < 0.75, from_web)
        self.assertLess(fetching.tally.wasted, len(DATA) / 10)
        self.quiet()

    def test_a_web_seed_that_stalls_keeps_nothing_from_peers(self):
        self.serve({}, lambda visitor: None)
        fetching = self.fetch()
        self.swarm.network.advance(1)
        self.swarm.session("10.0.0.1", DATA)
        self.swarm.add(self.swarm.sessions[-1], METAINFO)
        self.leech.add_peers(fetching, ["10.0.0.1:6881"])
        self.until_complete(fetching, limit=30)
        self.quiet()

    def test_what_a_web_seed_gave_is_given_to_peers(self):
        self.serve({"/data.bin": DATA})
        other = self.swarm.add(self.swarm.session("10.0.0.3"), METAINFO)
        fetching = self.fetch(peers=["10.0.0.3:6881"])
        self.swarm.until_complete(fetching, other)
        self.assertEqual(fetching.tally.uploaded, len(DATA))
        self.quiet()


class TroubleTests(WebSeedCase):
    def test_redirects_are_followed_once_and_remembered(self):
        self.leech.apply(replace(self.settings, web_seeds=WebSeedSettings(range_size=200_000)))
        first = self.serve({}, lambda visitor: visitor.redirect("http://20.0.0.2/elsewhere?key=1"))
        second = self.serve({"/elsewhere?key=1": DATA}, address="20.0.0.2")
        fetching = self.fetch()
        self.until_complete(fetching)
        self.assertLessEqual(len(first.asked), 3, "once by each connection")
        self.assertGreater(len(second.asked), len(first.asked))
        self.quiet()

    def test_a_place_that_holds_no_more_is_asked_for_anew(self):
        keys = iter(range(1, 1000))
        valid = set()

        def script(visitor):
            key = next(keys)
            valid.add(f"/{key}")
            visitor.redirect(f"http://20.0.0.2/{key}")

        def keyed(visitor):
            if visitor.target not in valid:
                visitor.answer(b"expired", 403)
            else:
                valid.discard(visitor.target)
                visitor.server.files = {visitor.target: DATA}
                visitor.give()

        self.serve({}, script)
        self.serve({}, keyed, address="20.0.0.2")
        fetching = self.fetch()
        self.until_complete(fetching, limit=10)
        self.quiet()

    def test_what_breaks_off_is_taken_up_where_it_did(self):
        given = []

        def script(visitor):
            first, last = visitor.range
            body = DATA[first : last + 1]
            visitor.head(
                206, Content_Length=str(len(body)), Content_Range=f"bytes {first}-{last}/{len(DATA)}"
            )
            sent = body[:150_001]
            given.append(len(sent))
            visitor.transport.write(sent)
            visitor.transport.loseConnection()

        server = self.serve({"/data.bin": DATA}, script)
        fetching = self.fetch()
        self.until_complete(fetching, limit=20)
        self.assertEqual(sum(given), len(DATA), "not a byte twice")
        self.assertTrue(any(first % 16384 for _, (first, _) in server.asked))
        self.assertEqual(self.status(fetching).error, "")
        self.quiet()

    def test_a_server_that_is_not_there_is_tried_again_ever_later(self):
        fetching = self.fetch()
        host = self.swarm.network.host("10.0.0.2")
        self.swarm.network.host("20.0.0.1")
        self.swarm.network.advance(1)
        status = self.status(fetching)
        self.assertEqual((status.state, status.error), (WebSeedState.WAITING, "connection refused"))
        self.assertTrue(8 < status.retry_in < 12, status.retry_in)
        self.swarm.network.advance(24 * 3600)
        tries = len(host.dialed) / 3
        self.assertTrue(20 < tries < 40, tries)
        self.serve({"/data.bin": DATA})
        self.until_complete(fetching, limit=5000)
        self.quiet()

    def test_a_server_that_says_when_is_left_alone_until_then(self):
        def script(visitor):
            if self.swarm.network.seconds() < 100:
                visitor.answer(b"", 503, Retry_After="100")
            else:
                visitor.give()

        server = self.serve({"/data.bin": DATA}, script)
        fetching = self.fetch()
        self.swarm.network.advance(99)
        self.assertEqual(len(server.asked), 3)
        self.assertIs(self.status(fetching).state, WebSeedState.WAITING)
        self.until_complete(fetching, limit=30)
        self.quiet()

    def test_a_server_that_wants_one_connection_gets_one(self):
        def script(visitor):
            if sum(not each.closed for each in server.visitors) > 1 and visitor is not server.visitors[0]:
                visitor.answer(b"", 503)
                visitor.transport.loseConnection()
            else:
                visitor.give()

        server = self.serve({"/data.bin": DATA}, script)
        self.swarm.network.host("20.0.0.1").limit(upload=500_000)
        fetching = self.fetch()
        self.until_complete(fetching, limit=15)
        self.assertEqual(len(server.visitors), 3)
        self.assertEqual(self.status(fetching).error, "")
        self.quiet()

    def test_a_file_that_is_not_there_comes_from_peers(self):
        files = [(("a",), 1_000_000), (("b",), 1_000_000), (("c",), 1_000_000)]
        metainfo = torrent(DATA, piece_length=65536, name="x", files=files)
        server = self.serve({"/x/a": DATA[:1_000_000], "/x/c": DATA[2_000_000:]})
        fetching = self.fetch(metainfo, "http://20.0.0.1/")
        self.swarm.network.advance(30)
        self.assertEqual(fetching.statistics().pieces_done, 15 + 15)
        self.assertLessEqual([target for target, _ in server.asked].count("/x/b"), 3)
        self.assertEqual(self.status(fetching).error, "x/b: HTTP status 404")
        self.swarm.session("10.0.0.1", DATA)
        self.swarm.add(self.swarm.sessions[-1], metainfo)
        self.leech.add_peers(fetching, ["10.0.0.1:6881"])
        self.until_complete(fetching, metainfo)
        self.quiet()

    def test_one_that_trickles_is_given_up(self):
        def trickle(visitor):
            if not visitor.closed:
                visitor.transport.write(b"x")
                self.swarm.network.clock.callLater(1, trickle, visitor)

        def script(visitor):
            visitor.head(206, Content_Range=f"bytes 0-1048575/{len(DATA)}")
            trickle(visitor)

        server = self.serve({"/data.bin": DATA}, script)
        fetching = self.fetch(torrent(DATA, piece_length=1 << 20))
        self.swarm.network.advance(40)
        self.assertIn(self.status(fetching).state, (WebSeedState.WAITING, WebSeedState.REFUSED))
        self.assertTrue(all(visitor.closed for visitor in server.visitors))
        self.swarm.network.result_of(fetching.stop())
        self.quiet()


class AddressTests(WebSeedCase):
    """C4: web seeds come from strangers, and must not turn us against the machines beside us."""

    def test_a_web_seed_outside_cannot_redirect_us_inside(self):
        inside = self.serve({"/data.bin": DATA}, address="192.168.1.1")
        self.serve({}, lambda visitor: visitor.redirect("http://192.168.1.1/data.bin"))
        fetching = self.fetch()
        self.swarm.network.advance(60)
        self.assertEqual(inside.visitors, [])
        self.assertIn("redirected from outside", self.status(fetching).error)
        self.quiet()

    def test_no_query_is_sent_to_one_inside(self):
        inside = self.serve({"/data.bin?reboot=1": DATA}, address="192.168.1.1")
        fetching = self.fetch(METAINFO, "http://192.168.1.1/data.bin?reboot=1")
        self.swarm.network.advance(60)
        self.assertEqual(inside.visitors, [])
        self.assertIn("no query", self.status(fetching).error)
        self.quiet()

    def test_nor_by_a_connection_that_is_kept(self):
        def script(visitor):
            visitor.redirect("/data.bin?reboot=1") if visitor.target == "/data.bin" else visitor.give()

        inside = self.serve({"/data.bin?reboot=1": DATA}, script, address="192.168.1.1")
        fetching = self.fetch(METAINFO, "http://192.168.1.1/data.bin")
        self.swarm.network.advance(60)
        self.assertEqual({target for target, _ in inside.asked}, {"/data.bin"})
        self.assertIn("no query", self.status(fetching).error)
        self.quiet()

    def test_what_is_no_url_of_a_host_is_refused(self):
        fetching = self.fetch(METAINFO, "http://xn--bcher-kva.example/", "http://a:99999/")
        self.swarm.network.advance(1)
        self.assertEqual([each.state for each in fetching.web_seeds()], [WebSeedState.REFUSED] * 2)
        self.quiet()


def padded(metainfo):
    """The files in `.pad` are padding."""
    info = metainfo.encode()
    return Metainfo.parse(info.replace(b"d6:lengthi31072e", b"d4:attr1:p6:lengthi31072e"))
