-- The clock and the counters of one crawl; put behind keys.lua.

local time = redis.call('TIME')
local now_us = time[1] * 1000000 + time[2]
local now_ms = math.floor(now_us / 1000)

-- '..' writes a number of this size in 14 digits, as 1.7e+15.
local function digits(number)
  return string.format('%.0f', number)
end

-- Redis' Lua takes some 8,000 values on its stack: longer lists go in slices.
local function in_slices(list, act)
  for first = 1, #list, 1000 do
    act(unpack(list, first, math.min(first + 999, #list)))
  end
end

-- Counters ------------------------------------------------------------------------------------------
-- enqueued = done + queued + leased + dead holds after every script.

local change = {}

local function count(name, by)
  change[name] = (change[name] or 0) + by
end

local bury_odd -- below

local function save_counters()
  bury_odd()
  for name, by in pairs(change) do
    if by ~= 0 then redis.call('HINCRBY', META, name, by) end
  end
  change = {}
end

local function counters(...)
  local values = redis.call('HMGET', META, ...)
  for i = 1, #values do values[i] = tonumber(values[i]) or 0 end
  return values
end
