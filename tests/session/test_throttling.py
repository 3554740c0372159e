"""Which limits a connection has, as settings, torrents and the time of day change."""

from dataclasses import replace
from datetime import datetime

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from bittwist.session.limits import (
    LOCAL,
    WEB_SEEDS,
    AlternativeSpeeds,
    LimitSettings,
    PeerClass,
    TorrentLimits,
)
from bittwist.session.throttling import Throttling

TORRENT, OTHER = b"t" * 20, b"o" * 20
FAR = "198.51.100.7"


class ThrottlingTests(SynchronousTestCase):
    def setUp(self):
        self.clock = Clock()
        self.date = datetime(2026, 11, 23, 7, 59).timestamp()

    def throttling(self, **settings):
        self.settings = LimitSettings(**settings)
        made = Throttling(self.clock, lambda: self.date + self.clock.seconds())
        made.start(self.settings)
        self.addCleanup(lambda: self.assertEqual(self.clock.getDelayedCalls(), []))
        self.addCleanup(made.stop)
        return made

    def lane(self, throttling, host=FAR, group=TORRENT):
        lane = throttling.connection(host)
        lane.joined(group)
        return lane

    def rate(self, *allowances):
        """Bytes a second that these get together when each takes all it can."""
        before = self.clock.seconds()
        moved = 0
        for _ in range(100):
            self.clock.advance(0.05)
            for allowance in allowances:
                while taken := allowance.take(65536):
                    moved += taken
                    if moved > 1 << 30:
                        return float("inf")
        return moved / (self.clock.seconds() - before)

    def assertRate(self, wanted, *allowances):
        self.rate(*allowances)  # what has gathered
        rate = self.rate(*allowances)
        if wanted != rate:
            self.assertApproximates(rate / wanted, 1, 0.02)

    def test_by_default_nothing_is_limited_and_nothing_is_asked(self):
        lane = self.lane(self.throttling())
        self.assertTrue(lane.download.free and lane.upload.free)

    def test_the_whole_session_shares_its_limits(self):
        throttling = self.throttling(download_rate=100_000, upload_rate=50_000)
        lanes = [self.lane(throttling, group=group) for group in (TORRENT, OTHER)]
        self.assertRate(100_000, *[lane.download for lane in lanes])
        self.assertRate(50_000, *[lane.upload for lane in lanes])

    def test_each_torrent_has_the_limit_of_the_settings_or_its_own(self):
        throttling = self.throttling(torrent_download_rate=100_000)
        throttling.set_limits(OTHER, TorrentLimits(20_000, None))
        one, other = self.lane(throttling), self.lane(throttling, group=OTHER)
        self.assertRate(100_000, one.download)
        self.assertRate(20_000, other.download)
        self.assertTrue(other.upload.free)
        throttling.set_limits(OTHER, TorrentLimits(0, 5_000))
        self.assertTrue(other.download.free)
        self.assertRate(5_000, other.upload)

    def test_a_connection_counts_for_its_torrent_once_that_is_known(self):
        throttling = self.throttling(torrent_download_rate=10_000)
        lane = throttling.connection(FAR)
        self.assertTrue(lane.download.free)
        lane.joined(TORRENT)
        self.assertRate(10_000, lane.download)

    def test_a_class_has_a_limit_of_its_own_below_the_others(self):
        throttling = self.throttling(
            download_rate=100_000, classes=(PeerClass("far", ("198.51.100.0/24",), download_rate=10_000),)
        )
        far, near = self.lane(throttling), self.lane(throttling, "192.0.2.1")
        self.assertRate(10_000, far.download)
        self.assertRate(100_000, far.download, near.download)

    def test_an_exempt_class_knows_no_other_limit(self):
        throttling = self.throttling(
            download_rate=100_000,
            torrent_upload_rate=1_000,
            classes=(
                PeerClass("home", (LOCAL,), exempt=True, upload_rate=50_000),
                PeerClass("all", ("::/0",)),
            ),
        )
        home = self.lane(throttling, "192.168.0.9")
        self.assertTrue(home.download.free)
        self.assertRate(50_000, home.upload)
        self.assertRate(100_000, self.lane(throttling).download)

    def test_web_seeds_count_as_downloads_and_can_be_a_class(self):
        throttling = self.throttling(download_rate=40_000)
        seeds = throttling.web_seeds(TORRENT)
        self.assertRate(40_000, seeds.download)
        throttling.apply(
            replace(self.settings, classes=(PeerClass("web", (WEB_SEEDS,), download_rate=8_000),))
        )
        self.assertRate(8_000, seeds.download)

    def test_new_settings_hold_for_the_connections_there_are(self):
        throttling = self.throttling()
        lane = self.lane(throttling)
        throttling.apply(LimitSettings(download_rate=30_000))
        self.assertRate(30_000, lane.download)
        throttling.apply(LimitSettings(download_rate=60_000, torrent_download_rate=20_000))
        self.assertRate(20_000, lane.download)
        throttling.apply(LimitSettings())
        self.assertTrue(lane.download.free)

    def test_alternative_speeds_come_and_go_with_the_time_of_day(self):
        throttling = self.throttling(
            download_rate=100_000,
            alternative=AlternativeSpeeds("scheduled", 10_000, 5_000, begins="08:00", ends="08:10"),
        )
        lane = self.lane(throttling)
        self.assertRate(100_000, lane.download)
        self.assertTrue(lane.upload.free)
        self.clock.pump([15] * 6)
        self.assertTrue(throttling.alternative)
        self.assertRate(10_000, lane.download)
        self.assertRate(5_000, lane.upload)
        self.clock.pump([15] * 40)
        self.assertFalse(throttling.alternative)
        self.assertRate(100_000, lane.download)

    def test_a_date_that_is_set_anew_is_noticed(self):
        throttling = self.throttling(alternative=AlternativeSpeeds("scheduled", 10_000, 0))
        self.assertFalse(throttling.alternative)
        self.date += 3600
        self.clock.pump([15])
        self.assertTrue(throttling.alternative)
        self.date -= 3600
        self.clock.pump([15])
        self.assertFalse(throttling.alternative)

    def test_a_torrent_that_is_gone_is_forgotten(self):
        throttling = self.throttling()
        throttling.set_limits(TORRENT, TorrentLimits(1, 1))
        throttling.forget(TORRENT)
        self.assertEqual(throttling.limits_of(TORRENT), TorrentLimits())

    def test_connections_that_are_gone_are_forgotten(self):
        throttling = self.throttling(download_rate=1000)
        lanes = [self.lane(throttling) for _ in range(3)]
        for lane in lanes:
            lane.download.wait(lambda: None)
            lane.close()
        self.assertEqual(throttling._lanes, {})

    def test_nothing_is_limited_once_it_is_stopped(self):
        throttling = self.throttling(download_rate=1000, upload_rate=1000)
        lane = self.lane(throttling)
        called = []
        lane.upload.wait(lambda: called.append(1))
        throttling.stop()
        self.clock.advance(0)
        self.assertEqual(called, [1])
        self.assertTrue(lane.upload.free)

    def test_a_torrent_can_hope_for_its_own_limit_or_its_part_of_the_sessions(self):
        throttling = self.throttling()
        self.assertIsNone(throttling.download_rate(TORRENT))
        throttling.apply(LimitSettings(download_rate=100_000))
        self.assertEqual(throttling.download_rate(TORRENT), 100_000)
        self.lane(throttling, group=OTHER)
        self.assertEqual(throttling.download_rate(TORRENT), 50_000)
        throttling.set_limits(TORRENT, TorrentLimits(20_000, None))
        self.assertEqual(throttling.download_rate(TORRENT), 20_000)
