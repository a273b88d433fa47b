-- robots: keeps a robots.txt for all workers, or reads one. Those that were used last stay, within a budget.
--
-- input.origin     such as https://example.com:8443
-- input.text       what is to be kept of it; none: it is read
-- input.ttl_ms     for how long it is good
-- input.most       bytes of all that are kept, 0: no limit but an eighth of Redis' maxmemory
--
-- Returns the text that is kept, false if there is none.

local KEPT = sound(tag .. ':robots_kept', 'zset')    -- origin -> ms of its last use
local SIZES = sound(tag .. ':robots_sizes', 'hash')  -- origin -> bytes that it takes; field "": all of them
local ENTRY = 400 -- bytes that its key and its place in the two take beside the text and the name (measured)

local function key_of(origin)
  return sound(tag .. ':robots:' .. origin, 'string')
end

local function forget(origin)
  local had = whole(redis.call('HGET', SIZES, origin), 2 ^ 40) or 0
  redis.call('UNLINK', key_of(origin))
  redis.call('ZREM', KEPT, origin)
  redis.call('HDEL', SIZES, origin)
  if had > 0 then redis.call('HINCRBY', SIZES, '', digits(-had)) end
end

-- The budget, and never more than an eighth of what Redis may take, for the crawl needs the rest.
local function most_bytes()
  local told = redis.pcall('INFO', 'memory')
  local limit = type(told) == 'string' and tonumber(string.match(told, 'maxmemory:(%d+)')) or 0
  local most = input.most > 0 and input.most or math.huge
  return limit > 0 and math.min(most, limit / 8) or most
end

local function forget_oldest(most, total)
  for _ = 1, 200 do
    local oldest = redis.call('ZRANGE', KEPT, 0, 0, 'WITHSCORES')
    if not oldest[1] then return redis.call('DEL', SIZES) end
    if total <= most and tonumber(oldest[2]) > now_ms - input.ttl_ms then return end
    forget(oldest[1])
    total = whole(redis.call('HGET', SIZES, ''), 2 ^ 50) or 0
  end
end

local text = input.text
if text then
  local most, taken = most_bytes(), #text + 3 * #input.origin + ENTRY
  forget(input.origin)
  if taken <= most then
    redis.call('SET', key_of(input.origin), text, 'PX', digits(input.ttl_ms))
    redis.call('ZADD', KEPT, digits(now_ms), input.origin)
    redis.call('HSET', SIZES, input.origin, digits(taken))
    if not whole(redis.call('HGET', SIZES, ''), 2 ^ 50) then redis.call('HSET', SIZES, '', '0') end
    forget_oldest(most, redis.call('HINCRBY', SIZES, '', digits(taken)))
  end
else
  text = redis.call('GET', key_of(input.origin))
  if text then redis.call('ZADD', KEPT, 'XX', digits(now_ms), input.origin) end
end
save_counters()
return text
