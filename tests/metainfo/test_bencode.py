import pytest
from hypothesis import given
from hypothesis import strategies as st

from bittwist.errors import BencodeError, LocalProtocolError
from bittwist.metainfo import bencode
from tests.metainfo.vectors import load

VALUES = st.recursive(
    st.integers(-(10**20) + 1, 10**20 - 1) | st.binary(max_size=40),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.binary(max_size=8), inner, max_size=5),
    max_leaves=25,
)


def both(data):
    return [bencode.decode(data, strict=strict) for strict in (True, False)]


def refused(data, strict=True):
    with pytest.raises(BencodeError) as caught:
        bencode.decode(data, strict=strict)
    return caught.value


@pytest.mark.parametrize("case", load("bencode")["accept"], ids=lambda case: case["encoded"])
def test_the_examples_of_bep_3_are_read_and_written(case):
    encoded = case["encoded"].encode()
    value = bencode.decode(encoded)
    assert bencode.encode(value) == encoded == bencode.encode(case["value"])


@pytest.mark.parametrize("encoded", load("bencode")["refuse_when_strict"])
def test_the_invalid_integers_of_bep_3_are_refused_when_strict(encoded):
    refused(encoded.encode())
    bencode.decode(encoded.encode(), strict=False)


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"0:", b""),
        (b"le", []),
        (b"de", {}),
        (b"d0:i420ee", {b"": 420}),
        (b"ldedee", [{}, {}]),
        (b"d1:adee", {b"a": {}}),
        (b"d1:alee", {b"a": []}),
        (b"llelee", [[], []]),
        (b"d1:ad1:bi1ee1:cl1:dee", {b"a": {b"b": 1}, b"c": [b"d"]}),
        (b"d3:a\0bi1ee", {b"a\0b": 1}),
        (b"i18446744073709551615e", 2**64 - 1),
        (b"11:12345678901", b"12345678901"),
    ],
)
def test_valid_forms_are_read_in_both_modes(data, value):
    assert both(data) == [value, value]


@pytest.mark.parametrize(
    ("data", "reason", "offset"),
    [
        (b"", "ends too early", 0),
        (b"e", "an end without a beginning", 0),
        (b"x", "no value begins", 0),
        (b"-10:abc", "no value begins", 0),
        (b"ie", "an integer", 0),
        (b"i-e", "an integer", 0),
        (b"i+1e", "an integer", 0),
        (b"i 1e", "an integer", 0),
        (b"i1_0e", "an integer", 0),
        (b"i12", "an integer", 0),
        (b"li1x2ee", "an integer", 1),
        (b"i" + b"9" * 21 + b"e", "an integer", 0),
        (b"i" + b"9" * 5000 + b"e", "an integer", 0),
        (b"4:boa", "a string of 4 bytes goes past the end", 0),
        (b"l1:a99999999:be", "a string of 99999999 bytes", 4),
        (b"12345678901:x", "a string's length", 0),
        (b"1 :x", "a string's length", 0),
        (b"1", "ends too early", 1),
        (b"l1:a", "ends too early", 4),
        (b"di1e1:ae", "a dictionary key is not a string", 1),
        (b"dlee", "a dictionary key is not a string", 1),
        (b"d1:ae", "a dictionary key has no value", 4),
        (b"d1:ai1e1:be", "a dictionary key has no value", 10),
        (b"d1:ai1e1:ai2ee", "a dictionary key comes twice", 7),
    ],
)
def test_malformed_input_is_refused_in_both_modes_with_reason_and_offset(data, reason, offset):
    for strict in (True, False):
        error = refused(data, strict)
        assert error.reason.startswith(reason)
        assert error.offset == offset


@pytest.mark.parametrize(
    ("data", "value", "offset"),
    [
        (b"i-0e", 0, 0),
        (b"i-03e", -3, 0),
        (b"li007ee", [7], 1),
        (b"06:foobar", b"foobar", 0),
        (b"00:", b"", 0),
        (b"d1:bi1e1:ai2ee", {b"a": 2, b"b": 1}, 7),
        (b"d2:aai1e1:ai2ee", {b"a": 2, b"aa": 1}, 8),
        (b"i42e\n", 42, 4),
    ],
)
def test_lenient_takes_what_strict_refuses(data, value, offset):
    assert refused(data).offset == offset
    assert bencode.decode(data, strict=False) == value


@pytest.mark.parametrize("data", [b"d1:ai1e1:ai2ee", b"d1:ai1e1:bi1e1:ai2ee", b"ld1:ai1e1:bi1e1:ai2eee"])
def test_a_key_that_comes_twice_is_refused_in_lenient_mode_too(data):
    """A15: parsers differ in which of the two they take."""
    refused(data, strict=False)
    with pytest.raises(BencodeError):
        bencode.decode_spans(b"d4:info" + data + b"e", strict=False)


def test_a_top_level_key_that_comes_twice_is_refused_when_spans_are_asked_for():
    with pytest.raises(BencodeError, match="comes twice at byte 7"):
        bencode.decode_spans(b"d1:ai1e1:ai2ee", strict=False)


@pytest.mark.parametrize("opening", [b"l", b"d1:a"])
def test_a_hundred_containers_may_nest_and_no_more(opening):
    """A10."""
    inner = b"le" if opening == b"l" else b"de"
    assert bencode.decode(opening * 99 + inner + b"e" * 99)
    assert "nested too deeply" in str(refused(opening * 100 + inner + b"e" * 100))
    assert "nested too deeply" in str(refused(opening * 100_000))


def test_nesting_counts_the_same_where_spans_are_asked_for():
    bencode.decode_spans(b"d1:a" * 99 + b"de" + b"e" * 99)
    with pytest.raises(BencodeError, match="nested too deeply"):
        bencode.decode_spans(b"d1:a" * 100 + b"de" + b"e" * 100)


def test_the_number_of_values_is_bounded(monkeypatch):
    monkeypatch.setattr(bencode, "MAX_TOKENS", 10)
    assert bencode.decode(b"l" + b"0:" * 8 + b"e") == [b""] * 8
    assert "too many values" in str(refused(b"l" + b"0:" * 9 + b"e"))
    assert len(bencode.decode_spans(b"d1:a0:1:b0:1:c0:1:d0:1:e0:e")[0]) == 5
    with pytest.raises(BencodeError, match="too many values"):
        bencode.decode_spans(b"d1:a0:1:b0:1:c0:1:d0:1:e0:1:f0:e")


def test_a_prefix_ends_where_the_value_ends():
    assert bencode.decode_prefix(b"d8:msg_typei1eeBLOCK") == ({b"msg_type": 1}, 15)
    assert bencode.decode_prefix(memoryview(b"i1ei2e")) == (1, 3)


def test_spans_are_those_of_the_values_as_found():
    data = b"d1:bli01ee1:a3:xyze\n"
    values, spans = bencode.decode_spans(data, strict=False)
    assert values == {b"b": [1], b"a": b"xyz"}
    assert {key: data[start:end] for key, (start, end) in spans.items()} == {b"b": b"li01ee", b"a": b"3:xyz"}


@pytest.mark.parametrize(
    "data", [b"le", b"i1e", b"", b"d", b"d1:a", b"d1:ae", b"di1ei1ee", b"d1:bi1e1:ai1ee", b"dee"]
)
def test_spans_of_what_is_no_strict_dictionary_are_refused(data):
    with pytest.raises(BencodeError):
        bencode.decode_spans(data)


@pytest.mark.parametrize(
    "value", [1.5, None, {1: 2}, {"a": None}, object(), 10**20, -(10**20), {"a": 1, b"a": 1}, [[{1.5}]]]
)
def test_what_has_no_bencoding_is_our_bug(value):
    with pytest.raises(LocalProtocolError):
        bencode.encode(value)


def test_a_value_too_deep_to_be_read_back_is_not_written():
    value = []
    for _ in range(99):
        value = [value]
    assert bencode.decode(bencode.encode(value)) == value
    with pytest.raises(LocalProtocolError):
        bencode.encode([value])


def test_keys_are_sorted_as_raw_bytes_and_text_is_utf_8():
    assert bencode.encode({"é": 1, "z": 2, b"\xff": (3,)}) == "d1:zi2e2:éi1e".encode() + b"1:\xffli3eee"


@given(VALUES)
def test_values_come_back_as_they_were(value):
    encoded = bencode.encode(value)
    assert both(encoded) == [value, value]
    assert bencode.decode(memoryview(encoded)) == value
    assert bencode.decode_prefix(encoded + b"rest") == (value, len(encoded))


@given(VALUES, st.data())
def test_a_cut_value_is_refused(value, data):
    encoded = bencode.encode(value)
    refused(encoded[: data.draw(st.integers(0, len(encoded) - 1))])


@given(st.binary(max_size=60) | st.text("dlie0123456789:-a", max_size=60).map(str.encode))
def test_arbitrary_bytes_raise_only_our_error_and_strict_input_is_canonical(data):
    try:
        value = bencode.decode(data)
    except BencodeError as error:
        assert 0 <= error.offset <= len(data)
    else:
        assert bencode.encode(value) == data
        assert bencode.decode(data, strict=False) == value
    try:
        bencode.decode_spans(data, strict=False)
    except BencodeError as error:
        assert 0 <= error.offset <= len(data)
