"""Words of the command line that name a torrent."""

from __future__ import annotations

import click
from twisted.trial.unittest import SynchronousTestCase

from bittwist.app.arguments import check_source


class SchemeTests(SynchronousTestCase):
    def test_a_scheme_that_is_misspelt_is_named(self) -> None:
        for word in ("foo://x", "foo:x", "FOO://x", "foo:?xt=urn:btih:" + "ab" * 20):
            error = self.assertRaises(click.UsageError, check_source, word, False)
            self.assertEqual(
                error.message.lower(), "foo: is no scheme that is known (magnet, http and https are)"
            )

    def test_one_that_is_known_but_not_spoken_is_told_apart(self) -> None:
        error = self.assertRaises(click.UsageError, check_source, "ftp://x/y", False)
        self.assertEqual(error.message, "ftp:// is not spoken: only http:// and https://")

    def test_a_file_may_have_a_colon_in_its_name(self) -> None:
        word = self.mktemp() + ":x"
        with open(word, "wb"):
            check_source(word, False)
