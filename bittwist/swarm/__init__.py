"""The policies of a swarm, without I/O: whom to ask for what, whom to serve, whom to dial, whom to blame.

BEP 3 (rarest first, pipelining, end game, choking), BEP 6 (a pick may be limited to allowed-fast
pieces). Pure: `now` is an argument, chance comes from the `Random` a constructor is given, and no
decision depends on the order of a set. A peer is a `PeerKey`, the running number its connection
has in the session. May import metainfo, errors and address.
"""
