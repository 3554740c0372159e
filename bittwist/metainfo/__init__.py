"""What a torrent is: pure values, no sockets, no clock, no files.

BEPs 3, 5 (nodes), 7, 9, 12, 17, 19, 20, 23, 27, 38, 47, 52 and 53.
May import nothing but `bittwist.errors` and `bittwist.address`.
"""
