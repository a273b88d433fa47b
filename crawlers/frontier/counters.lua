-- The clock and the counters of one crawl; put behind keys.lua.

local time = redis.call('TIME')
local now_us = time[1] * 1000000 + time[2]
local now_ms = math.floor(now_us / 1000)

-- A whole number as text. '..' writes one of 15 digits as 1.7e+15; redis.call writes all of them itself.
local function digits(number)
  return string.format('%d', number)
end

-- Redis' Lua takes some 8,000 values on its stack: longer lists go in slices. All of it, or from `from` to `to`.
local function in_slices(list, act, from, to)
  from, to = from or 1, to or #list
  for first = from, to, 1000 do
    local last = first + 999
    act(unpack(list, first, last < to and last or to))
  end
end

-- Counters ------------------------------------------------------------------------------------------
-- enqueued = done + queued + leased + dead holds after every script. They are read once, and written once by
-- save_counters, with which each script ends that changes one.

local COUNTERS = { 'generation', 'run', 'finished', 'paused', 'sealed', 'seen_level', 'seen_split', 'seen',
                   'seen_small', 'born', 'last_lease', 'back_us', 'ahead_us', 'over_budget', 'out',
                   'chunks', 'spares', 'cookies',
                   'enqueued', 'done', 'queued', 'leased', 'dead', 'dropped', 'reaped', 'dead_out' }
-- What starts from 0 with each run.
local OF_A_RUN = { 'enqueued', 'done', 'queued', 'leased', 'dead', 'dropped', 'reaped', 'dead_out', 'over_budget' }
local MOST_OF = { seen_level = 26, seen_split = 2 ^ 26 }

local meta = {} -- counter -> number
local stored -- the same as it is in Redis, in the order of COUNTERS

local function read_counters()
  stored = first_use('hash', 'HMGET', META, unpack(COUNTERS))
  for i = 1, #COUNTERS do
    local name, value, number = COUNTERS[i], stored[i], 0
    if value and value ~= '0' then
      number = whole(value, MOST_OF[name])
      if not number then
        redis.call('HDEL', META, name)
        odd[#odd + 1] = { value, 'the counter ' .. name .. ' was no number' }
        number = 0
      end
    end
    meta[name], stored[i] = number, number
  end
end
read_counters()
enter(math.max(meta.generation, 1))

local function count(name, by)
  meta[name] = meta[name] + by
end

local bury_odd -- in library.lua

local function save_counters()
  bury_odd()
  local values = {}
  for i, name in ipairs(COUNTERS) do
    if meta[name] ~= stored[i] then
      values[#values + 1] = name
      values[#values + 1] = digits(meta[name])
      stored[i] = meta[name]
    end
  end
  if #values > 0 then redis.call('HSET', META, unpack(values)) end
end
