"""Peers without I/O: the peer wire protocol as pure values and functions (BEP 3, 6, 9, 10).

Bytes come in, facts go out; messages come in, bytes go out. `WireConnection` is the one class the
outside meets. May import: metainfo, errors, address. No Twisted, no clock, no random, no files.
"""
