-- claim: takes start URLs off a list, set or sorted set, and remembers them until they are released.
-- What a worker claimed and did not release in time (it died) is handed out again.
--
-- KEYS[1]  list, set or zset   the entries people push; taken from the head, or the highest score first
-- KEYS[2]  hash                claim -> entry; field "last": the newest claim
-- KEYS[3]  zset                claim -> ms from which it may be handed out again
-- ARGV[1]  most entries to hand out
-- ARGV[2]  ms for which a claim is held
--
-- Returns {claims, entries, left}: two lists of the same length; left: entries waiting and claims held
-- over all workers. Returns {type, key} and takes nothing where a key holds anything else.

local most, now = tonumber(ARGV[1]), redis.call('TIME')
local now_ms = now[1] * 1000 + math.floor(now[2] / 1000)
local until_ms = string.format('%.0f', now_ms + tonumber(ARGV[2]))

local function take_pairs(key, number)
  local members = {}
  local pairs_taken = redis.call('ZPOPMAX', key, number)
  for i = 1, #pairs_taken, 2 do members[#members + 1] = pairs_taken[i] end
  return members
end

local take = {
  none = function() return {} end,
  list = function(key, number) return redis.call('LPOP', key, number) end,
  set = function(key, number) return redis.call('SPOP', key, number) end,
  zset = take_pairs,
}
local length = { none = 'EXISTS', list = 'LLEN', set = 'SCARD', zset = 'ZCARD' }

local kind = redis.call('TYPE', KEYS[1]).ok
if not take[kind] then return { kind, KEYS[1] } end
for i, expected in ipairs({ kind, 'hash', 'zset' }) do
  local found = redis.call('TYPE', KEYS[i]).ok
  if found ~= expected and found ~= 'none' then return { found, KEYS[i] } end
end
if not string.match(redis.call('HGET', KEYS[2], 'last') or '0', '^%d%d?%d?%d?%d?%d?%d?%d?%d?%d?%d?%d?$') then
  redis.call('HDEL', KEYS[2], 'last')
end

-- Redis' clock went back: no claim is held for longer than it could be.
for _, claim in ipairs(redis.call('ZRANGE', KEYS[3], '(' .. until_ms, '+inf', 'BYSCORE', 'LIMIT', 0, most)) do
  redis.call('ZADD', KEYS[3], until_ms, claim)
end

local claims, entries = {}, {}
for _, claim in ipairs(redis.call('ZRANGE', KEYS[3], '-inf', string.format('%.0f', now_ms), 'BYSCORE',
                                  'LIMIT', 0, most)) do
  local entry = redis.call('HGET', KEYS[2], claim)
  if entry then
    claims[#claims + 1] = claim
    entries[#entries + 1] = entry
    redis.call('ZADD', KEYS[3], until_ms, claim)
  else
    redis.call('ZREM', KEYS[3], claim)
  end
end
if #claims < most then
  for _, entry in ipairs(take[kind](KEYS[1], most - #claims)) do
    local claim = string.format('%.0f', redis.call('HINCRBY', KEYS[2], 'last', 1))
    redis.call('HSET', KEYS[2], claim, entry)
    redis.call('ZADD', KEYS[3], until_ms, claim)
    claims[#claims + 1] = claim
    entries[#entries + 1] = entry
  end
end
return { claims, entries, redis.call(length[kind], KEYS[1]) + redis.call('ZCARD', KEYS[3]) }
