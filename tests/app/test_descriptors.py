"""Settings under a limit of file descriptors."""

import resource
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bittwist.app.descriptors import LEAST, OURS, affordable, within_limits
from bittwist.session import SessionSettings

USUAL = SessionSettings()


def taken(settings):
    return (
        settings.max_peers
        + settings.peer.max_handshaking
        + settings.half_open
        + settings.disk.open_files
        + settings.http.max_concurrent
    )


class AffordableTests(SynchronousTestCase):
    def test_with_enough_nothing_changes(self):
        self.assertIs(affordable(USUAL, OURS + taken(USUAL)), USUAL)

    @given(st.integers(0, 2000))
    def test_no_more_is_taken_than_there_is_and_nothing_goes_without(self, descriptors):
        settings = affordable(USUAL, descriptors)
        self.assertLessEqual(taken(settings), max(5 * LEAST + descriptors - OURS, 5 * LEAST))
        for part in (settings.max_peers, settings.disk.open_files, settings.half_open):
            self.assertGreaterEqual(part, LEAST)

    def test_the_soft_limit_is_raised_as_far_as_needed_and_allowed(self):
        wanted = OURS + taken(USUAL)
        for hard, raised in ((wanted + 5, wanted), (300, 300), (resource.RLIM_INFINITY, wanted)):
            with (
                patch("resource.getrlimit", return_value=(64, hard)),
                patch("resource.setrlimit") as setrlimit,
            ):
                settings = within_limits(USUAL)
            setrlimit.assert_called_once_with(resource.RLIMIT_NOFILE, (raised, hard))
            self.assertEqual(settings, affordable(USUAL, raised))

    def test_no_limit_is_no_limit(self):
        with patch("resource.getrlimit", return_value=(resource.RLIM_INFINITY,) * 2):
            self.assertIs(within_limits(USUAL), USUAL)
