"""bittwist: the BitTorrent suite for Python, on Twisted."""

__version__ = "0.1.0"
