"""Selection, priorities, order, names and place changed at random, a thousand times during one download.

Whatever is asked for and when: what is believed to be there is there, no byte is wrong, what was never wanted
does not exist, and what is wanted in the end comes out as it is to be.
"""

from random import Random

from twisted.trial.unittest import SynchronousTestCase

from bittwist.errors import SessionError
from bittwist.metainfo.files import OURS
from bittwist.session.lifecycle import State
from bittwist.storage.files import FileStorage
from bittwist.storage.interfaces import MissingData
from bittwist.swarm.priorities import Priority
from tests.scale import SEED, runs
from tests.session.filed import SEED_HOST, FiledSwarm, share

CHANGES = 1000
PIECE = 16384
SIZES = (700_000, 5, 0, 16_384, 400_000, 3_000, 3_000, 3_000, 0, 2_500_000, 1, 1_200_000, 33_000)
FILES = [(f"{'abc'[at % 3]}/{at}", size) for at, size in enumerate(SIZES)]
FILES[6:6] = [("pad", 2_384, "p")]
PAD = 6
NEVER = {3, 8, 12}  # files that are not wanted at any time
FOLDERS = ("save", "moved", "moved/below")


class Whims:
    """Somebody who wants something else every moment, and what must be true all the while."""

    def __init__(self, case, seed):
        self.case = case
        self.random = Random(seed)
        self.metainfo, self.data = share(FILES, PIECE)
        self.swarm = FiledSwarm(case, self.metainfo, self.data, upload=30_000, seed=seed)
        self.session = self.swarm.leech(busy=0.1)
        self.wanted = set()  # ever
        self.torrent = self.swarm.fetch(self.session, choose=lambda info: self.choice())
        self.renames = 0
        self.done = dict.fromkeys(("refused", "moved", "renamed", "stopped", "rechecked", "reborn"), 0)
        self.why = f"seed {seed}"

    def choice(self):
        """A priority for each file; those of NEVER are skipped."""
        chosen = {}
        for file in range(len(FILES)):
            chosen[file] = self.random.choice(list(Priority)) if self.random.random() < 0.6 else Priority.SKIP
            if file in NEVER:
                chosen[file] = Priority.SKIP
            if chosen[file]:
                self.wanted.add(file)
        return chosen

    # Whims

    def change(self):
        whim = self.random.choices(
            (
                self.select,
                self.one,
                self.order,
                self.deadline,
                self.rename,
                self.move,
                self.stop,
                self.recheck,
            ),
            (60, 60, 30, 30, 20, 6, 3, 2),
        )[0]
        whim()

    def select(self):
        self.torrent.set_priorities(self.choice())

    def one(self):
        file = self.random.choice(sorted(set(range(len(FILES))) - NEVER))
        priority = self.random.choice(list(Priority))
        if priority:
            self.wanted.add(file)
        self.torrent.set_priorities({file: priority})

    def order(self):
        verb = self.random.choice((self.torrent.set_sequential, self.torrent.set_first_and_last))
        verb(self.random.random() < 0.5)

    def deadline(self):
        if self.random.random() < 0.3:
            self.torrent.clear_deadlines()
        pieces = self.metainfo.info.geometry.num_pieces
        self.torrent.set_deadline(self.random.randrange(pieces), self.random.random() * 5)

    def rename(self):
        file = self.random.randrange(len(FILES))
        self.renames += 1
        where = self.random.choice(("share/a", "else", "else/deep"))
        self.expect(self.torrent.rename_file(file, f"{where}/{file} {self.renames}"), "renamed")

    def move(self):
        self.expect(self.torrent.move(self.swarm.folder / self.random.choice(FOLDERS)), "moved")

    def expect(self, asked, word):
        """It comes about, or it is refused because something else is under way."""

        def refused(failure):
            failure.trap(SessionError)
            self.done["refused"] += 1

        def done(_result):
            self.done[word] += 1

        asked.addCallbacks(done, refused)
        asked.addErrback(lambda failure: self.case.fail(f"{self.why}: {failure.getTraceback()}"))

    def stop(self):
        self.torrent.stop()
        if self.random.random() < 0.5:
            self.swarm.network.advance(self.random.random())
        self.torrent.start()
        self.done["stopped"] += 1

    def recheck(self):
        self.torrent.recheck()
        self.done["rechecked"] += 1

    def rebirth(self):
        """The whole session stops, and another finds what it left."""
        self.swarm.network.result_of(self.session.stopService())
        self.swarm.sessions.remove(self.session)
        self.session = self.swarm.leech(busy=0.1)
        self.swarm.network.run_until(lambda: self.session.torrents)
        (self.torrent,) = self.session.torrents
        self.session.add_peers(self.torrent, [f"{SEED_HOST}:6881"])
        self.done["reborn"] += 1

    # What must be true

    def look(self):
        assert self.torrent.state is not State.FAILED, f"{self.why}: {self.torrent.reason}"
        if self.torrent.state is State.MOVING or self.torrent.unsettled:
            return
        self.look_at_files()
        self.look_at_pieces()

    def look_at_files(self):
        """No file is where it should not be, none has a wrong byte, and none exists that never was wanted."""
        home, root = self.torrent.home, self.swarm.folder
        numbers = {home.folder / path: file for file, path in enumerate(home.paths(self.metainfo.info))}
        geometry = self.metainfo.info.geometry
        for folder in FOLDERS:
            for path in (root / folder).rglob("*"):
                if not path.is_file():
                    continue
                if path.parent == home.folder / OURS and path.suffix == ".parts":
                    continue
                file = numbers.get(path)
                assert file is not None, f"{self.why}: {path} is not to be there"
                assert file in self.wanted and file != PAD, f"{self.why}: {path} was never wanted"
                start, content = geometry.file_start(file), path.read_bytes()
                right = self.data[start : start + FILES[file][1]]
                assert len(content) <= len(right), f"{self.why}: {path} is too long"
                for at in range(0, len(content), 512):
                    part = content[at : at + 512]
                    if part != right[at : at + 512]:
                        strangers = [(a, b) for a, b in zip(part, right[at : at + 512]) if a not in (0, b)]
                        assert not strangers, f"{self.why}: {path} has wrong bytes"

    def look_at_pieces(self):
        """What is believed to be here is here."""
        content = self.torrent._course.content
        if content is None or not self.torrent._course.exchanging:
            return
        home, info = self.torrent.home, self.metainfo.info
        storage = FileStorage(home.folder, info, paths=home.paths(info))
        for index in content.progress.have:
            size = info.geometry.piece_size(index)
            buffer = bytearray(size)
            try:
                storage.read_into(index, 0, memoryview(buffer))
            except MissingData as error:
                self.case.fail(f"{self.why}: piece {index}: {error}")
            assert buffer == self.data[index * PIECE : index * PIECE + size], f"{self.why}: piece {index}"
        storage.close()

    def end(self):
        """What is wanted in the end is there, byte for byte; what never was is not; nothing else is left."""
        wanted = {file for file, priority in self.choice().items() if priority}
        self.torrent.set_priorities(
            {file: Priority.NORMAL if file in wanted else Priority.SKIP for file in range(len(FILES))}
        )
        self.swarm.network.host(SEED_HOST).limit(upload=1_000_000)
        self.swarm.network.run_until(
            lambda: self.torrent.state is State.SEEDING and not self.torrent.unsettled, 600
        )
        self.look()
        paths = self.torrent.home.paths(self.metainfo.info)
        geometry = self.metainfo.info.geometry
        for file in wanted - {PAD}:
            start = geometry.file_start(file)
            content = (self.torrent.save_path / paths[file]).read_bytes()
            assert content == self.data[start : start + FILES[file][1]], f"{self.why}: {paths[file]}"
        for file in NEVER:
            assert not (self.torrent.save_path / paths[file]).exists(), f"{self.why}: {paths[file]}"
        self.swarm.network.result_of(self.session.remove(self.torrent.info_hash))
        left = [
            path for path in self.swarm.folder.rglob("*") if OURS in path.parts or "unfinished" in path.name
        ]
        assert not left, f"{self.why}: {left}"
        self.swarm.quiet(after=10)


class WhimsTests(SynchronousTestCase):
    def test_a_thousand_changes_during_a_download(self):
        for seed in range(SEED, SEED + runs(1, 20)):
            whims = Whims(self, seed)
            for number in range(CHANGES):
                whims.change()
                if whims.random.random() < 0.7:
                    whims.swarm.network.advance(whims.random.choice((0.0, 0.05, 0.2, 1.0)))
                if number % 20 == 0:
                    whims.look()
                if number % 200 == 199:
                    whims.rebirth()
            whims.end()
            for what, times in whims.done.items():
                self.assertGreater(times, 0, f"seed {seed}: nothing was {what}")
