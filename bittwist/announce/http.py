"""Announces and scrapes over HTTP (BEP 3, 7, 23, 24, 31, 48): the room's door for both ends."""

from bittwist.announce.query import (
    decode_announce_query,
    decode_scrape_query,
    encode_announce_url,
    read_announce,
    read_query,
    scrape_url,
)
from bittwist.announce.reply import (
    MAX_PEERS,
    decode_announce_response,
    decode_scrape_response,
    encode_announce_response,
    encode_compact_response,
    encode_failure,
    encode_scrape_response,
)

__all__ = [
    "MAX_PEERS",
    "decode_announce_query",
    "decode_announce_response",
    "decode_scrape_query",
    "decode_scrape_response",
    "encode_announce_response",
    "encode_announce_url",
    "encode_compact_response",
    "encode_failure",
    "encode_scrape_response",
    "read_announce",
    "read_query",
    "scrape_url",
]
