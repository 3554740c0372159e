"""The door (floor 5): the command line, the twistd plugins and their settings; nobody imports it.

Only here the global reactor, the signals and the terminal are known.
"""
