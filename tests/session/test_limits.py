"""The settings of limits: what they refuse, and when alternative speeds are in force."""

from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bittwist.session.limits import (
    DAYS,
    LOCAL,
    WEB_SEEDS,
    AlternativeSpeeds,
    LimitSettings,
    PeerClass,
    TorrentLimits,
)

MONDAY = datetime(2026, 11, 23)


def at(day, text):
    """A moment of the week that begins on MONDAY."""
    hours, minutes = text.split(":")
    return MONDAY + timedelta(days=DAYS.index(day), hours=int(hours), minutes=int(minutes))


class SettingsTests(SynchronousTestCase):
    def test_what_cannot_be_a_limit_is_refused_by_its_key(self):
        for make, key in (
            (lambda: LimitSettings(download_rate=-1), "download_rate"),
            (lambda: LimitSettings(upload_slots=-1), "upload_slots"),
            (lambda: AlternativeSpeeds(upload_rate=-1), "upload_rate"),
            (lambda: AlternativeSpeeds(begins="25:00"), "begins"),
            (lambda: AlternativeSpeeds(ends="noon"), "ends"),
            (lambda: AlternativeSpeeds(ends="08"), "ends"),
            (lambda: AlternativeSpeeds(days=("monday",)), "days"),
            (lambda: PeerClass(addresses=("example.com",)), "addresses"),
            (lambda: PeerClass(download_rate=-5), "download_rate"),
        ):
            error = self.assertRaises(ValueError, make)
            self.assertEqual(error.args[0], key)
        self.assertRaises(ValueError, TorrentLimits, -1, None)

    def test_headers_below_ours_are_counted_when_asked_for(self):
        self.assertEqual(LimitSettings().payload(1500), 1500)
        self.assertEqual(round(LimitSettings(count_ip_overhead=True).payload(1500)), 1448)

    def test_classes_name_addresses_networks_and_the_local_ones(self):
        ranges = PeerClass(addresses=(LOCAL, "198.51.100.0/24", WEB_SEEDS)).ranges()
        for host in ("127.0.0.1", "192.168.3.4", "10.0.0.1", "fe80::1", "::1", "198.51.100.7"):
            self.assertIn(host, ranges)
        for host in ("198.51.101.7", "8.8.8.8", "2001:db8::1"):
            self.assertNotIn(host, ranges)


class ScheduleTests(SynchronousTestCase):
    def test_never_and_always(self):
        self.assertFalse(AlternativeSpeeds().in_force(MONDAY))
        self.assertTrue(AlternativeSpeeds(when="always").in_force(MONDAY))

    def test_from_one_time_to_another_on_some_days(self):
        speeds = AlternativeSpeeds(when="scheduled", days=("mon", "fri"), begins="09:00", ends="17:30")
        for moment, wanted in (
            (at("mon", "08:59"), False),
            (at("mon", "09:00"), True),
            (at("mon", "17:29"), True),
            (at("mon", "17:30"), False),
            (at("tue", "12:00"), False),
            (at("fri", "12:00"), True),
        ):
            self.assertEqual(speeds.in_force(moment), wanted, moment)

    def test_a_night_belongs_to_the_day_it_begins_on(self):
        speeds = AlternativeSpeeds(when="scheduled", days=("sun",), begins="22:00", ends="06:00")
        for moment, wanted in (
            (at("sun", "05:00"), False),
            (at("sun", "21:59"), False),
            (at("sun", "22:00"), True),
            (at("mon", "05:59"), True),
            (at("mon", "06:00"), False),
            (at("mon", "22:00"), False),
        ):
            self.assertEqual(speeds.in_force(moment), wanted, moment)

    def test_equal_times_are_a_whole_day(self):
        speeds = AlternativeSpeeds(when="scheduled", days=("wed",), begins="06:00", ends="06:00")
        self.assertTrue(speeds.in_force(at("wed", "06:00")))
        self.assertTrue(speeds.in_force(at("thu", "05:59")))
        self.assertFalse(speeds.in_force(at("thu", "06:00")))

    @given(st.times(), st.times(), st.sets(st.sampled_from(DAYS)), st.integers(0, 7 * 24 * 60 - 1))
    def test_every_moment_is_judged_alike_a_week_later(self, begins, ends, days, minutes):
        speeds = AlternativeSpeeds(
            when="scheduled", days=tuple(days), begins=f"{begins:%H:%M}", ends=f"{ends:%H:%M}"
        )
        moment = MONDAY + timedelta(minutes=minutes)
        self.assertEqual(speeds.in_force(moment), speeds.in_force(moment + timedelta(days=7)))
        if not days:
            self.assertFalse(speeds.in_force(moment))
