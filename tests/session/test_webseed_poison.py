"""`webseed-poison`: web seeds that give wrong bytes, or answer what was not asked (SECURITY.md T14)."""

from random import Random

from bittwist.peer.webseed import WebSeedSettings
from bittwist.session import SessionSettings, observe
from bittwist.session.webseeds import WebSeedState
from tests.scale import SEED, runs
from tests.session.test_webseeds import DATA, METAINFO, URL, WebSeedCase

SIZE = len(DATA)
PIECE = METAINFO.info.piece_length


class PoisonCase(WebSeedCase):
    def seed(self, fetching, address="10.0.0.1", upload=None):
        """A peer that has everything."""
        self.swarm.add(self.swarm.session(address, DATA), METAINFO)
        self.swarm.network.host(address).limit(upload=upload)
        self.leech.add_peers(fetching, [f"{address}:6881"])

    def watch(self):
        """The hosts that are banned from now on."""
        banned = []

        def told(event):
            if isinstance(event.happening, observe.PeerBanned):
                banned.append(event.happening.host)

        self.leech.observe(told)
        return banned


class WrongBytesTests(PoisonCase):
    """What is wrong is proved, whoever else was asked; the rest comes from peers."""

    settings = SessionSettings(ports=(6881,), web_seeds=WebSeedSettings(range_size=PIECE))

    def poisoned(self, random):
        """A server of which each answer is wrong in one of ten cases."""

        def script(visitor):
            visitor.give(lambda body: spoiled(body, random) if random.random() < 0.1 else body)

        return self.serve({"/data.bin": DATA}, script)

    def test_ranges_of_which_one_in_ten_is_wrong_get_it_banned_and_peers_complete(self):
        for number in range(runs(5, 200)):
            random = Random(f"{SEED} {number}")
            self.setUp()
            self.poisoned(random)
            self.swarm.network.host("20.0.0.1").limit(upload=1_500_000)
            fetching, banned = self.fetch(), self.watch()
            for host in ("10.0.0.1", "10.0.0.3"):
                self.seed(fetching, host, upload=random.choice((30_000, 100_000, 300_000)))
            self.until_complete(fetching, limit=300)
            self.swarm.network.advance(1)
            wrong = fetching.tally.failed_pieces
            self.assertEqual(set(banned), {"http://20.0.0.1"} if wrong else set(), f"{SEED} {number}")
            self.assertLess(wrong, 12)
            self.quiet()

    def test_alone_it_is_banned_for_the_first_wrong_piece_and_nothing_wrong_is_kept(self):
        wrong = bytearray(DATA)
        wrong[7 * PIECE + 5] ^= 1
        server = self.serve({"/data.bin": bytes(wrong)})
        fetching, banned = self.fetch(), self.watch()
        self.swarm.network.advance(60)
        status = self.status(fetching)
        self.assertEqual((status.state, status.error), (WebSeedState.BANNED, "it sent wrong data"))
        self.assertEqual((banned, fetching.tally.failed_pieces), (["http://20.0.0.1"], 1))
        self.assertTrue(all(visitor.closed for visitor in server.visitors))
        self.seed(fetching)
        self.until_complete(fetching)
        self.quiet()

    def test_it_is_banned_by_its_other_urls_too_and_for_as_long_as_the_session_lasts(self):
        server = self.serve({"/data.bin": bytes(SIZE), "/again": DATA})
        fetching = self.fetch(METAINFO, URL, "http://20.0.0.1/again")
        self.swarm.network.advance(10)
        asked = len(server.asked)
        self.assertEqual({each.state for each in fetching.web_seeds()}, {WebSeedState.BANNED})
        self.swarm.network.result_of(fetching.stop())
        fetching.start()
        self.swarm.network.advance(10)
        self.assertEqual(len(server.asked), asked)
        self.quiet()

    def test_a_good_web_seed_is_not_banned_for_what_a_peer_did_wrong(self):
        self.serve({"/data.bin": DATA})
        for host in ("20.0.0.1", "10.0.0.9"):
            self.swarm.network.host(host).limit(upload=200_000)
        liar = self.swarm.session("10.0.0.9", DATA)
        self.swarm.add(liar, METAINFO)
        self.swarm.network.advance(1)
        lies(self.swarm.storages["10.0.0.9"])
        fetching, banned = self.fetch(peers=["10.0.0.9:6881"]), self.watch()
        self.until_complete(fetching)
        self.assertEqual(set(banned) - {"10.0.0.9"}, set())
        self.quiet()


class WrongAnswersTests(PoisonCase):
    """What is not an answer to what was asked: refused at once, and peers complete."""

    def refused(self, script, error):
        server = self.serve({"/data.bin": DATA}, script)
        fetching, banned = self.fetch(), self.watch()
        self.swarm.network.advance(3)
        asked = len(server.asked)
        self.seed(fetching)
        self.until_complete(fetching, limit=30)
        status = self.status(fetching)
        self.assertIs(status.state, WebSeedState.REFUSED)
        self.assertRegex(status.error, f"^(data.bin: )?{error}$")
        self.assertLessEqual(asked, 3, "once by each connection")
        self.assertEqual(len(server.asked), asked)
        self.assertTrue(all(visitor.closed for visitor in server.visitors))
        self.assertEqual((banned, fetching.tally.failed_pieces, status.downloaded), ([], 0, 0))
        self.quiet()

    def test_the_whole_file_in_place_of_a_range(self):
        self.refused(lambda visitor: visitor.answer(DATA), "it does not give ranges")

    def test_another_file_in_place_of_a_range(self):
        self.refused(lambda visitor: visitor.answer(b"<html>"), f"the file there has 6 bytes, not {SIZE}")

    def test_a_range_of_a_longer_file(self):
        def script(visitor):
            first, last = visitor.range
            visitor.answer(DATA[first : last + 1], 206, Content_Range=f"bytes {first}-{last}/{SIZE + 1}")

        self.refused(script, f"the file there has {SIZE + 1} bytes, not {SIZE}")

    def test_a_file_that_is_too_short_for_the_range(self):
        self.refused(
            lambda visitor: visitor.answer(b"", 416, Content_Range="bytes */100"),
            f"the file there has 100 bytes, not {SIZE}",
        )

    def test_a_shorter_body_than_the_range(self):
        def script(visitor):
            first, last = visitor.range
            visitor.answer(DATA[first:last], 206, Content_Range=f"bytes {first}-{last}/{SIZE}")

        self.refused(script, r"it gives \d+ bytes, not \d+")

    def test_a_range_that_does_not_say_which(self):
        self.refused(lambda visitor: visitor.answer(DATA[:1000], 206), "it does not say which bytes it gives")

    def test_compressed_bytes(self):
        def script(visitor):
            first, last = visitor.range
            body = DATA[first : last + 1]
            where = f"bytes {first}-{last}/{SIZE}"
            visitor.answer(body, 206, Content_Range=where, Content_Encoding="gzip")

        self.refused(script, r"its bytes are encoded \(gzip\)")

    def test_nothing(self):
        for status in (404, 410, 451):
            self.setUp()
            self.refused(lambda visitor, status=status: visitor.answer(b"", status), f"HTTP status {status}")


class AnyAnswersTests(PoisonCase):
    """A good answer, changed at random, in turns with good ones: nothing is broken by it."""

    def test_changed_at_random_no_answer_breaks_anything(self):
        for number in range(runs(40, 4000)):
            random = Random(f"{SEED} {number}")
            self.setUp()

            def script(visitor, random=random):
                if random.random() < 0.5:
                    visitor.give()
                else:
                    changed(visitor, random)

            self.serve({"/data.bin": DATA}, script)
            fetching = self.fetch()
            self.swarm.network.advance(10)
            self.seed(fetching)
            self.until_complete(fetching, limit=300)
            self.quiet()


def spoiled(body, random):
    """With one byte changed."""
    at = random.randrange(len(body))
    return body[:at] + bytes([body[at] ^ random.randint(1, 255)]) + body[at + 1 :]


def changed(visitor, random):
    """An answer with something wrong about it, or nothing of it, or only half."""
    first, last = visitor.range
    body = DATA[first : last + 1]
    head = b"HTTP/1.1 206 Partial Content\r\nContent-Length: %d\r\nContent-Range: bytes %d-%d/%d\r\n\r\n"
    answer = bytearray(head % (len(body), first, last, SIZE) + body)
    match random.randrange(6):
        case 0:
            for _ in range(random.randint(1, 5)):
                answer[random.randrange(120)] = random.randrange(256)
        case 1:
            answer[random.randrange(60) : random.randrange(60, 120)] = random.randbytes(random.randrange(40))
        case 2:
            del answer[random.randrange(len(answer)) :]
        case 3:
            answer += random.randbytes(random.randrange(1, 3000))
        case 4:
            answer[:0] = b"HTTP/1.1 100 Continue\r\n\r\n" * random.randint(1, 3)
        case 5:
            answer = bytearray(random.randbytes(random.randrange(2000)))
    visitor.transport.write(bytes(answer))
    if random.random() < 0.7:
        visitor.transport.loseConnection()


def lies(storage):
    """Its data changes after it was checked: what a peer gives of it is wrong."""
    for index in range(0, METAINFO.info.num_pieces, 5):
        storage.write(index, 0, memoryview(bytes(100)))
