"""What the Redis store has the server do: one script an announce, and what it is told and says; pure.

A torrent is seven keys under one hash tag, so that a cluster keeps them together: a hash of hosts, and for
each family a sorted set of its seeds, of its partial seeds (BEP 21) and of its leeches.

    PREFIX{INFOHASH}h     host (an IPv4 address or a /64 of IPv6, 4 or 8 bytes) -> for each of its peers the
                          rest of the address, port, id and role, the oldest first;
                          "d" -> how often the torrent was downloaded;
                          "k" -> for how many milliseconds its peers are kept and, where that is more than
                          they are told any more, ":" and until when
    PREFIX{INFOHASH}s4 …  compact address -> when it last announced, in the server's milliseconds

Sorted sets give all that is asked of them in O(log n): who is stale, how many are not, and who has a rank.
The hash finds a peer's id and role, and the other peers of its host.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha1
from struct import Struct

from bittwist.announce.values import AnnounceRequest, Event, ScrapeEntry
from bittwist.errors import RemoteProtocolError
from bittwist.tracker.interfaces import SwarmAnswer, new_answer

KEYS_A_TORRENT = 7
LEAVES, SEED, PARTIAL, LEECH = b"0", b"1", b"2", b"3"
TRIMMED = 200  # stale peers an announce removes from each set: under a millisecond, and far more than it adds

_SIZES = Struct(">IIII")
_COUNTS = Struct(">IIIHH")


@dataclass(frozen=True, slots=True)
class Script:
    """A script, and the name by which a server that has seen it knows it."""

    text: bytes
    name: bytes

    @classmethod
    def of(cls, text: str) -> Script:
        encoded = text.encode()
        return cls(encoded, sha1(encoded, usedforsecurity=False).hexdigest().encode())


def torrent_keys(prefix: bytes, info_hash: bytes, six: bool = False) -> tuple[bytes, ...]:
    """The keys of a torrent, those of the asker's own family first."""
    stem = b"%s{%s}" % (prefix, info_hash.hex().encode())
    own, other = (b"6", b"4") if six else (b"4", b"6")
    return (stem + b"h", *(stem + role + family for family in (own, other) for role in (b"s", b"p", b"l")))


def announce_words(
    request: AnnounceRequest, *, expire_after: float, per_address: int, seeds_for_seeds: bool, chance: int
) -> tuple[bytes, ...]:
    """The arguments of ANNOUNCE, whose keys are `torrent_keys`; `chance` is a random number of 31 bits."""
    assert request.address is not None
    if request.event is Event.STOPPED:
        role = LEAVES
    elif request.is_seed:
        role = SEED
    else:
        role = PARTIAL if request.event is Event.PAUSED else LEECH
    return (
        request.address.packed,
        request.peer_id,
        role,
        b"1" if request.event is Event.COMPLETED else b"0",
        b"%d" % (request.numwant or 0),
        b"1" if role == LEECH or seeds_for_seeds else b"0",
        b"0" if request.compact or request.no_peer_id else b"1",
        b"%d" % (expire_after * 1000),
        b"%d" % per_address,
        b"%d" % chance,
    )


def read_answer(reply: object, six: bool) -> SwarmAnswer:
    """What ANNOUNCE says to an asker of that family."""
    if not isinstance(reply, bytes) or len(reply) < _COUNTS.size:
        raise RemoteProtocolError("Redis: no answer to an announce")
    seeds, leeches, downloaded, owns, others = _COUNTS.unpack_from(reply)
    own_width, other_width = (18, 6) if six else (6, 18)
    own_end = _COUNTS.size + owns * own_width
    end = own_end + others * other_width
    if len(reply) not in (end, end + 20 * (owns + others)):
        raise RemoteProtocolError("Redis: an answer of another length than it says")
    own, other, ids = reply[_COUNTS.size : own_end], reply[own_end:end], reply[end:]
    if six:
        own, other, ids = other, own, ids[20 * owns :] + ids[: 20 * owns]
    return new_answer(seeds, leeches, downloaded, own, other, ids)


def read_sizes(reply: object, count: int) -> list[ScrapeEntry]:
    """What SCRAPE says of so many torrents."""
    if not isinstance(reply, bytes) or len(reply) != count * _SIZES.size:
        raise RemoteProtocolError("Redis: no answer to a scrape")
    return [
        ScrapeEntry(seeds, downloaded, leeches, downloaders)
        for seeds, leeches, downloaded, downloaders in _SIZES.iter_unpack(reply)
    ]


def words_of(command: Sequence[bytes]) -> bytes:
    """A command as it goes over the wire."""
    return b"*%d\r\n%s" % (
        len(command),
        b"".join([b"$%d\r\n%s\r\n" % (len(word), word) for word in command]),
    )


# Scripts begin with the same numbers each time (Redis sees to it), hence the seed that is given.
ANNOUNCE = Script.of(
    """
local call, sub, random = redis.call, string.sub, math.random
local packed, id, role = ARGV[1], ARGV[2], ARGV[3]
local wanted, keep = tonumber(ARGV[5]), tonumber(ARGV[8])
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- Who was told a longer interval, by a tracker with other settings or before they changed, is kept by that:
-- for as long as it lasts.
local noted = call('HGET', KEYS[1], 'k')
local longer, till = string.match(noted or '', '^(%d+):?(%d*)$')
longer = tonumber(longer) or 0
if longer > keep and (till == '' or now < tonumber(till)) then
  if till == '' then
    call('HSET', KEYS[1], 'k', string.format('%.0f:%.0f', longer, now + longer))
  end
  keep = longer
elseif role ~= '0' and noted ~= ARGV[8] then
  call('HSET', KEYS[1], 'k', ARGV[8])
end
local before = '(' .. string.format('%.0f', now - keep)
math.randomseed(tonumber(ARGV[10]))

-- The host of an address, and in what its peers differ.
local function split(packed)
  local host = #packed == 6 and 4 or 8
  return sub(packed, 1, host), sub(packed, host + 1)
end
local host, rest = split(packed)

-- Where in a host's peers the one at this rest of the address begins.
local function find(peers, rest)
  for at = 1, #peers, #rest + 21 do
    if sub(peers, at, at + #rest - 1) == rest then return at end
  end
end

local function store(host, peers)
  if peers == '' then call('HDEL', KEYS[1], host) else call('HSET', KEYS[1], host, peers) end
end

-- Who stayed away leaves, a few at a time; what is left of them counts as gone.
local size, stale, alive = {}, {}, 0
for set = 2, 7 do
  size[set], stale[set] = call('ZCARD', KEYS[set]), 0
  if size[set] > 0 then
    local gone = call('ZRANGEBYSCORE', KEYS[set], '-inf', before, 'LIMIT', 0, @TRIMMED@)
    if #gone > 0 then
      call('ZREMRANGEBYRANK', KEYS[set], 0, #gone - 1)
      size[set] = size[set] - #gone
      for _, member in ipairs(gone) do
        local its_host, its_rest = split(member)
        local peers = call('HGET', KEYS[1], its_host)
        local at = peers and find(peers, its_rest)
        if at then store(its_host, sub(peers, 1, at - 1) .. sub(peers, at + #its_rest + 21)) end
      end
      if #gone == @TRIMMED@ then stale[set] = call('ZCOUNT', KEYS[set], '-inf', before) end
    end
    alive = alive + size[set] - stale[set]
  end
end
if alive == 0 then call('HDEL', KEYS[1], 'd') end -- a swarm that nobody is in is a new one

-- The host's peers, and among them the one that announces.
local peers = call('HGET', KEYS[1], host) or ''
local others, held = peers, nil
local width = #rest + 21
local at = find(peers, rest)
if at then
  held = sub(peers, at + width - 1, at + width - 1)
  others = sub(peers, 1, at - 1) .. sub(peers, at + width)
  if held ~= role then size[held + 1] = size[held + 1] - call('ZREM', KEYS[held + 1], packed) end
end
if role == '0' then
  wanted = 0
  if held then store(host, others) end
else
  while not held and #others >= width * tonumber(ARGV[9]) do
    local its = tonumber(sub(others, width, width)) + 1
    size[its] = size[its] - call('ZREM', KEYS[its], host .. sub(others, 1, #rest))
    others = sub(others, width + 1)
  end
  local after = others .. rest .. id .. role
  if after ~= peers then store(host, after) end
  size[role + 1] = size[role + 1] + call('ZADD', KEYS[role + 1], now, packed)
  if ARGV[4] == '1' and role == '1' and held ~= '1' then call('HINCRBY', KEYS[1], 'd', 1) end
end

local there = 0
for set = 2, 7 do
  there = there + size[set]
  if size[set] > 0 and role ~= '0' then call('PEXPIRE', KEYS[set], 2 * keep) end
  size[set] = size[set] - stale[set]
end
-- All keys of a torrent live equally long, so that none is left of another.
if role ~= '0' then call('PEXPIRE', KEYS[1], 2 * keep) end
local downloaded = call('HGET', KEYS[1], 'd') or 0
if there == 0 then call('DEL', KEYS[1]) end

-- So many of these three sets as if they were one, each choice of them equally likely (Floyd's way). By
-- rank, since ZRANDMEMBER is up to three times as fond of one member as of another.
local function choose(first, count)
  local from, total, all = ARGV[6] == '1' and first or first + 2, 0, {}
  for set = from, first + 2 do total = total + size[set] end
  if count > total then count = total end
  for set = from, first + 2 do
    if size[set] > 0 and size[set] <= 3 * count then all[set] = call('ZRANGE', KEYS[set], stale[set], -1) end
  end
  local found, taken = {}, {}
  for last = total - count, total - 1 do
    local rank, set = random(0, last), from
    if taken[rank] then rank = last end
    taken[rank] = true
    while rank >= size[set] do rank, set = rank - size[set], set + 1 end
    found[#found + 1] = all[set] and all[set][rank + 1]
      or call('ZRANGE', KEYS[set], stale[set] + rank, stale[set] + rank)[1]
  end
  return found
end

local function id_of(address)
  local its_host, its_rest = split(address)
  local peers = call('HGET', KEYS[1], its_host)
  local at = peers and find(peers, its_rest)
  return at and sub(peers, at + #its_rest, at + #its_rest + 19) or string.rep('\\0', 20)
end

-- One more than wanted is drawn; should the asker not be among them, chance says who stays out. Which of
-- the other family is the asker, only its id tells.
local addresses, ids, counts = {}, {}, {}
for family = 1, 2 do
  local found = choose(family * 3 - 1, wanted > 0 and wanted + 1 or 0)
  local kept = #found
  for place = #found, 1, -1 do
    if family == 1 and found[place] == packed or family == 2 and id_of(found[place]) == id then
      found[place] = found[kept]
      found[kept] = nil
      kept = kept - 1
    end
  end
  while kept > wanted do
    found[random(kept)] = found[kept]
    found[kept] = nil
    kept = kept - 1
  end
  addresses[family] = table.concat(found)
  if ARGV[7] == '1' then
    for _, address in ipairs(found) do ids[#ids + 1] = id_of(address) end
  end
  counts[family], wanted = kept, wanted - kept
end
return struct.pack('>I4I4I4I2I2', size[2] + size[5], size[3] + size[4] + size[6] + size[7], downloaded,
  counts[1], counts[2]) .. table.concat(addresses) .. table.concat(ids)
""".replace("@TRIMMED@", str(TRIMMED))
)

SCRAPE = Script.of(
    """
local call = redis.call
local time = call('TIME')
local now, keep = time[1] * 1000 + math.floor(time[2] / 1000), tonumber(ARGV[1])
local found = {}
for first = 1, #KEYS, 7 do
  local size = {}
  local longer, till = string.match(call('HGET', KEYS[first], 'k') or '', '^(%d+):?(%d*)$')
  longer = tonumber(longer) or 0
  if longer < keep or till ~= '' and tonumber(till) <= now then longer = keep end
  local since = string.format('%.0f', now - longer)
  for set = 1, 6 do size[set] = call('ZCOUNT', KEYS[first + set], since, '+inf') end
  local there = size[1] + size[2] + size[3] + size[4] + size[5] + size[6]
  local downloaded = there > 0 and call('HGET', KEYS[first], 'd') or 0
  found[#found + 1] = struct.pack('>I4I4I4I4', size[1] + size[4], size[2] + size[3] + size[5] + size[6],
    downloaded, size[3] + size[6])
end
return table.concat(found)
"""
)

# What is known of all swarms together: a sorted set of their sizes (peers * 2^26 + seeds), one of when they
# were last heard of, and a hash of the totals. An announce cannot note it, since it may be another node's.
NOTE = Script.of(
    """
local call, floor = redis.call, math.floor
local time = call('TIME')
local now, keep = tonumber(time[1]), tonumber(ARGV[1])
local seeds, leeches = 0, 0
local function count(score, by)
  local peers = floor(score / 67108864)
  local its = score - peers * 67108864
  seeds, leeches = seeds + by * its, leeches + by * (peers - its)
end
local function drop(hash)
  local score = call('ZSCORE', KEYS[1], hash)
  if score then
    count(tonumber(score), -1)
    call('ZREM', KEYS[1], hash)
  end
  call('ZREM', KEYS[2], hash)
end
for at = 2, #ARGV, 3 do
  local hash, its, peers = ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 1]) + tonumber(ARGV[at + 2])
  drop(hash)
  if peers > 0 then
    local score = peers * 67108864 + its
    call('ZADD', KEYS[1], string.format('%.0f', score), hash)
    call('ZADD', KEYS[2], now, hash)
    count(score, 1)
  end
end
local gone = call('ZRANGEBYSCORE', KEYS[2], '-inf', '(' .. (now - keep), 'LIMIT', 0, 1000)
for _, hash in ipairs(gone) do drop(hash) end
if call('ZCARD', KEYS[1]) == 0 then
  call('DEL', KEYS[3])
else
  call('HINCRBY', KEYS[3], 's', string.format('%.0f', seeds))
  call('HINCRBY', KEYS[3], 'l', string.format('%.0f', leeches))
end
for key = 1, 3 do call('EXPIRE', KEYS[key], math.ceil(2 * keep)) end
return 0
"""
)

TOTALS = Script.of(
    """
local held = redis.call('HMGET', KEYS[3], 's', 'l')
return {redis.call('ZCARD', KEYS[1]), tonumber(held[1] or 0), tonumber(held[2] or 0)}
"""
)

LARGEST = Script.of("return redis.call('ZREVRANGE', KEYS[1], 0, ARGV[1] - 1)")

FORGET = Script.of("return redis.call('DEL', unpack(KEYS))")

SCRIPTS = (ANNOUNCE, SCRAPE, NOTE, TOTALS, LARGEST, FORGET)
