-- renew: a worker whose loop is blocked is alive all the same. One that was taken for dead stays dead.
--
-- KEYS[1]  {crawl}:workers
-- ARGV[1]  the worker's name
-- ARGV[2]  ms from now on for which it is taken for alive
--
-- Returns 1 if it is.

local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local until_ms = tonumber(redis.call('ZSCORE', KEYS[1], ARGV[1]) or '0')
if until_ms <= now_ms then return 0 end
redis.call('ZADD', KEYS[1], string.format('%.0f', now_ms + ARGV[2]), ARGV[1])
return 1
