"""What is an answer to a request for a range, and what is none (RFC 9110)."""

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bittwist.errors import FetchError, RangeRefused
from bittwist.net.ranges import Wanted, judge

URL = "http://a/f"
PART = Wanted(URL, 100, 50, 1000)
WHOLE = Wanted(URL, 0, 1000, 1000)
PIECE = Wanted("http://a/seed?piece=3", 0, 50, None)  # BEP 17


def verdict(status, length, wanted, **headers):
    """None, or the class and the reason of what is raised."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        judge(URL, status, named, length, wanted)
    except FetchError as error:
        assert error.status == status
        return type(error), error.reason
    return None


class JudgeTests(SynchronousTestCase):
    def test_what_was_asked_for(self):
        for status, length, wanted, where in (
            (206, 50, PART, "bytes 100-149/1000"),
            (206, None, PART, "bytes 100-149/*"),
            (206, 50, PART, "Bytes  100-149/1000"),
            (206, 1000, WHOLE, "bytes 0-999/1000"),
            (200, 1000, WHOLE, ""),
            (200, None, WHOLE, ""),
            (200, 50, PIECE, ""),
        ):
            self.assertIsNone(verdict(status, length, wanted, content_range=where), where)
        self.assertIsNone(verdict(200, 1000, WHOLE, content_encoding="identity"))

    def test_what_is_of_no_use_now_or_later(self):
        for status, length, wanted, where, reason in (
            (200, 1000, PART, "", "it does not give ranges"),
            (200, None, PART, "", "it does not give ranges"),
            (200, 7, PART, "", "the file there has 7 bytes, not 1000"),
            (200, 7, WHOLE, "", "the file there has 7 bytes, not 1000"),
            (200, 7, PIECE, "", "the file there has 7 bytes, not 50"),
            (206, 50, PIECE, "bytes 0-49/50", "HTTP status 206"),
            (206, 50, PART, "", "it does not say which bytes it gives"),
            (206, 50, PART, "bytes */1000", "it does not say which bytes it gives"),
            (206, 50, PART, "bytes 100-149", "it does not say which bytes it gives"),
            (206, 50, PART, "bytes 100-149/1000, bytes 1-2/1000", "it does not say which bytes it gives"),
            (206, 50, PART, "bytes 100-149/1001", "the file there has 1001 bytes, not 1000"),
            (206, 49, PART, "bytes 100-148/1000", "it gives bytes 100-148, not those asked for"),
            (206, 50, PART, "bytes 0-49/1000", "it gives bytes 0-49, not those asked for"),
            (206, 49, PART, "bytes 100-149/1000", "it gives 49 bytes, not 50"),
            (416, 0, PART, "bytes */99", "the file there has 99 bytes, not 1000"),
            (416, 0, PART, "", "HTTP status 416"),
            (404, 9, PART, "", "HTTP status 404"),
            (410, 9, PART, "", "HTTP status 410"),
        ):
            expected = (FetchError if reason == "HTTP status 206" else RangeRefused, reason)
            self.assertEqual(verdict(status, length, wanted, content_range=where), expected, (status, where))

    def test_what_may_be_given_later(self):
        for status in (400, 401, 403, 408, 429, 500, 502, 503, 504, 304):
            self.assertEqual(verdict(status, 0, PART), (FetchError, f"HTTP status {status}"))

    def test_when_it_may_be_asked_for_again(self):
        for headers, seconds in (
            ({"retry-after": "120"}, 120.0),
            ({"retry-after": " 0 "}, 0.0),
            ({"retry-after": "9" * 40}, 999_999_999.0),
            ({"retry-after": "-5"}, None),
            ({"retry-after": "soon"}, None),
            ({"retry-after": "Fri, 31 Dec 1999 23:59:59 GMT"}, None),
            (
                {
                    "retry-after": "Fri, 31 Dec 1999 23:59:59 GMT",
                    "date": "Fri, 31 Dec 1999 23:59:00 GMT",
                },
                59.0,
            ),
            (
                {
                    "retry-after": "Fri, 31 Dec 1999 23:59:00 GMT",
                    "date": "Fri, 31 Dec 1999 23:59:59 GMT",
                },
                0.0,
            ),
            ({"retry-after": "Fri, 31 Dec 1999 23:59:00 GMT", "date": "31 Dec 1999 23:59:59 -0000"}, None),
        ):
            with self.assertRaises(FetchError) as raised:
                judge(URL, 503, headers, 0, PART)
            self.assertEqual(raised.exception.retry_in, seconds, headers)


@given(
    st.integers(100, 999),
    st.dictionaries(
        st.sampled_from(("content-range", "content-encoding", "retry-after", "date")),
        st.one_of(st.text(max_size=60), st.from_regex(r"bytes [0-9]{0,30}-[0-9]{0,30}/[0-9*]{0,30}")),
    ),
    st.none() | st.integers(0, 10**30),
)
def test_whatever_is_answered_only_our_errors_are_raised(status, headers, length):
    for wanted in (PART, WHOLE, PIECE):
        try:
            judge(URL, status, headers, length, wanted)
        except FetchError:
            continue
        assert status in (200, 206) and length in (None, wanted.length)
