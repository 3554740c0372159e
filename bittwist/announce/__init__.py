"""What peers and trackers say to each other, without I/O: the values, and their HTTP forms.

BEP 3, 7 (peers6), 23 (compact), 24 (external ip), 31 (retry in) and 48 (scrape). A client encodes
requests and decodes replies, a tracker decodes requests and encodes replies: both halves live here,
so that decode(encode(x)) == x is the test of compatibility. May import metainfo; never Twisted.
"""
