-- claim: takes start URLs off a list, set or sorted set, and remembers them until they are released.
-- What a worker claimed and did not release in time (it died) is handed out again.
--
-- KEYS[1]  list, set or zset   the entries people push; taken from the head, or the highest score first
-- KEYS[2]  hash                claim -> entry; field "last": the newest claim
-- KEYS[3]  zset                claim -> ms from which it may be handed out again
-- ARGV[1]  most entries to hand out
-- ARGV[2]  ms for which a claim is held
-- ARGV[3]  most bytes of one entry; of a larger one only its length and its first bytes leave this script
-- ARGV[4]  so many of these
-- ARGV[5]  most bytes of all entries handed out, but for the last
--
-- Returns {claims, entries, left, aside}: two lists of the same length; left: entries waiting and claims held
-- over all workers; aside: type, key, its new name, ... in one row, of keys of ours that held something else
-- and gave way. An entry that was too large is "\0cut LENGTH " and its first bytes; one of a sorted set with
-- a score other than 0 is "\0score SCORE " and the entry. Returns {type, key} and takes nothing where KEYS[1]
-- holds anything else: that may be somebody's.

local most, now = tonumber(ARGV[1]), redis.call('TIME')
local most_bytes, most_shown, most_in_all = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local now_ms = now[1] * 1000 + math.floor(now[2] / 1000)
local until_ms = string.format('%.0f', now_ms + tonumber(ARGV[2]))

local take = {
  none = function() return nil end,
  list = function(key) return redis.call('LPOP', key) end,
  set = function(key) return redis.call('SPOP', key) end,
  zset = function(key)
    local entry, score = unpack(redis.call('ZPOPMAX', key))
    return entry and tonumber(score) ~= 0 and string.format('\0score %s ', score) .. entry or entry
  end,
}
local length = { none = 'EXISTS', list = 'LLEN', set = 'SCARD', zset = 'ZCARD' }

local kind = redis.call('TYPE', KEYS[1]).ok
if not take[kind] then return { kind, KEYS[1] } end
local aside = {}
for i, expected in ipairs({ kind, 'hash', 'zset' }) do
  local found = redis.call('TYPE', KEYS[i]).ok
  if found ~= expected and found ~= 'none' then
    local name = string.format('%s:set-aside:%.0f', KEYS[i], now_ms)
    redis.call('RENAME', KEYS[i], name)
    for _, text in ipairs({ found, KEYS[i], name }) do aside[#aside + 1] = text end
  end
end
if not string.match(redis.call('HGET', KEYS[2], 'last') or '0', '^%d%d?%d?%d?%d?%d?%d?%d?%d?%d?%d?%d?$') then
  redis.call('HDEL', KEYS[2], 'last')
end

-- Redis' clock went back: no claim is held for longer than it could be.
for _, claim in ipairs(redis.call('ZRANGE', KEYS[3], '(' .. until_ms, '+inf', 'BYSCORE', 'LIMIT', 0, most)) do
  redis.call('ZADD', KEYS[3], until_ms, claim)
end

local claims, entries, bytes = {}, {}, 0
local function is_full()
  return #claims >= most or bytes >= most_in_all
end

local function hand_out(claim, entry)
  bytes = bytes + #entry
  claims[#claims + 1] = claim
  entries[#entries + 1] = entry
  redis.call('ZADD', KEYS[3], until_ms, claim)
end

-- What of an entry is kept. What lies in Redis already is as it was cut before, or a worker of another version's.
local function bounded(entry)
  if not entry or #entry <= most_bytes then return entry end
  return string.format('\0cut %.0f ', #entry) .. string.sub(entry, 1, most_shown)
end

for _, claim in ipairs(redis.call('ZRANGE', KEYS[3], '-inf', string.format('%.0f', now_ms), 'BYSCORE',
                                  'LIMIT', 0, most)) do
  if is_full() then break end
  local entry = bounded(redis.call('HGET', KEYS[2], claim))
  if entry then
    hand_out(claim, entry)
  else
    redis.call('ZREM', KEYS[3], claim)
  end
end
while not is_full() do
  local entry = bounded(take[kind](KEYS[1]))
  if not entry then break end
  local claim = string.format('%.0f', redis.call('HINCRBY', KEYS[2], 'last', 1))
  redis.call('HSET', KEYS[2], claim, entry)
  hand_out(claim, entry)
end
return { claims, entries, redis.call(length[kind], KEYS[1]) + redis.call('ZCARD', KEYS[3]), aside }
