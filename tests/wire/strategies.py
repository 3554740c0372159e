"""Hypothesis strategies of wire values."""

from hypothesis import strategies as st

from bittwist.wire import messages as m

numbers = st.integers(0, 2**32 - 1)
lengths = st.integers(1, m.MAX_REQUEST)
payloads = st.binary(max_size=300)

messages = st.one_of(
    st.sampled_from(
        [
            m.KeepAlive(),
            m.Choke(),
            m.Unchoke(),
            m.Interested(),
            m.NotInterested(),
            m.HaveAll(),
            m.HaveNone(),
        ]
    ),
    st.builds(m.Have, numbers),
    st.builds(m.SuggestPiece, numbers),
    st.builds(m.AllowedFast, numbers),
    st.builds(m.BitfieldMessage, payloads),
    st.builds(m.Request, numbers, numbers, lengths),
    st.builds(m.Cancel, numbers, numbers, lengths),
    st.builds(m.RejectRequest, numbers, numbers, lengths),
    st.builds(m.Piece, numbers, numbers, st.binary(min_size=1, max_size=300)),
    st.builds(m.Port, st.integers(0, 65535)),
    st.builds(m.Extended, st.integers(0, 255), payloads),
)
