"""Storage: blocks to disk and back (BEP 3; pad files and attributes BEP 47).

What is kept, and what vouches for it after a clean stop and after a crash, is decided here.
`IStorage` is the seam a stranger may fill; it blocks, and only `Disk` calls it, in its threads.
May import metainfo, errors and address.
"""
