"""Files of addresses nothing is had to do with: read by a thread, again when they change."""

import os
from pathlib import Path

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from bittwist.net.addressfilter import FILTERED, NOT_READ_YET, AddressFilter, FilterSettings
from bittwist.testing import PoolAtOnce


class LatePool(PoolAtOnce):
    """Runs what it is given when the test says so."""

    def __init__(self):
        super().__init__()
        self.work = []

    def callInThreadWithCallback(self, *call):
        self.work.append(call)

    def run(self):
        work, self.work = self.work, []
        for call in work:
            super().callInThreadWithCallback(*call)


class Reactor(Clock):
    def __init__(self):
        super().__init__()
        self.pool = PoolAtOnce()

    def getThreadPool(self):
        return self.pool

    def callFromThread(self, function, *arguments):
        function(*arguments)


class AddressFilterTests(SynchronousTestCase):
    def setUp(self):
        self.reactor = Reactor()
        self.file = Path(self.mktemp())
        self.changes = 0
        self.time = 1_000_000_000

    def write(self, text, file=None):
        (file or self.file).write_text(text)
        self.time += 1_000_000_000
        os.utime(file or self.file, ns=(self.time, self.time))

    def filter(self, *files, started=True):
        made = AddressFilter(self.reactor, FilterSettings(files), self._changed)
        if started:
            self.successResultOf(made.start())
        self.addCleanup(lambda: self.assertEqual(self.reactor.getDelayedCalls(), []))
        self.addCleanup(made.stop)
        return made

    def _changed(self):
        self.changes += 1

    def test_without_files_nobody_is_refused_and_nothing_is_done(self):
        filter_ = self.filter()
        self.assertIsNone(filter_.refusal("192.0.2.1"))
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_who_is_on_a_list_is_refused_and_counted(self):
        self.write("192.0.2.0/24\n")
        other = Path(self.mktemp())
        self.write("a name:198.51.100.1-198.51.100.2\n", other)
        filter_ = self.filter(self.file, other)
        for host in ("192.0.2.7", "198.51.100.2"):
            self.assertEqual(filter_.refusal(host), FILTERED)
        self.assertIsNone(filter_.refusal("192.0.3.7"))
        self.assertEqual((filter_.status.ranges, filter_.status.refused), (2, 2))

    def test_everybody_is_refused_until_the_files_have_been_read(self):
        self.write("192.0.2.0/24\n")
        self.reactor.pool = LatePool()
        filter_ = self.filter(self.file, started=False)
        self.assertEqual(filter_.refusal("203.0.113.1"), NOT_READ_YET)
        started = filter_.start()
        self.assertNoResult(started)
        self.reactor.pool.run()
        self.successResultOf(started)
        self.assertIsNone(filter_.refusal("203.0.113.1"))

    def test_files_that_cannot_be_used_keep_refusing_everybody_and_are_named(self):
        filter_ = self.filter(self.file)
        self.assertEqual(filter_.refusal("203.0.113.1"), NOT_READ_YET)
        self.assertIn(f"{self.file}: No such file", filter_.status.error)
        self.write("192.0.2.1\n")
        self.reactor.advance(60)
        self.assertIsNone(filter_.refusal("203.0.113.1"))
        self.assertIsNone(filter_.status.error)

    def test_a_file_that_changes_is_read_again(self):
        self.write("192.0.2.1\n")
        filter_ = self.filter(self.file)
        self.assertEqual(self.changes, 1)
        self.reactor.advance(60)
        self.assertEqual(self.changes, 1)
        self.write("192.0.2.2\n")
        self.successResultOf(filter_.reload())
        self.assertEqual(self.changes, 2)
        self.assertIsNone(filter_.refusal("192.0.2.1"))
        self.assertEqual(filter_.refusal("192.0.2.2"), FILTERED)

    def test_a_file_that_breaks_leaves_what_was_read_in_force(self):
        self.write("192.0.2.1\n")
        filter_ = self.filter(self.file)
        self.write("<html>\n")
        self.reactor.advance(60)
        self.assertEqual(filter_.refusal("192.0.2.1"), FILTERED)
        self.assertTrue(filter_.status.error.startswith(f"{self.file}:1: "), filter_.status.error)

    def test_lines_that_were_passed_over_are_shown(self):
        self.write("192.0.2.1\nwhat\n")
        status = self.filter(self.file).status
        self.assertEqual(status.num_faults, 1)
        self.assertTrue(status.faults[0].startswith(f"{self.file}:2: "))

    def test_other_files_take_the_place_of_these(self):
        self.write("192.0.2.1\n")
        filter_ = self.filter()
        self.successResultOf(filter_.apply(FilterSettings((self.file,))))
        self.assertEqual(filter_.refusal("192.0.2.1"), FILTERED)
        other = Path(self.mktemp())
        self.write("192.0.2.2\n", other)
        self.successResultOf(filter_.apply(FilterSettings((other,))))
        self.assertIsNone(filter_.refusal("192.0.2.1"))
        self.successResultOf(filter_.apply(FilterSettings()))
        self.assertIsNone(filter_.refusal("192.0.2.2"))

    def test_a_reload_while_it_reads_looks_once_more(self):
        self.write("192.0.2.1\n")
        self.reactor.pool = LatePool()
        filter_ = self.filter(self.file, started=False)
        started = filter_.start()
        asked = [filter_.reload(), filter_.reload()]
        self.assertEqual(len(self.reactor.pool.work), 1)
        self.reactor.pool.run()
        self.assertEqual(len(self.reactor.pool.work), 1)
        self.assertNoResult(started)
        self.reactor.pool.run()
        for each in (started, *asked):
            self.successResultOf(each)
