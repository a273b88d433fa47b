-- plan: what the mover of this crawl is to do next. There is one mover at a time, or more for a moment, which
-- does no harm.
--
-- input.worker   who asks
-- input.hold_ms  for how long it is the mover, if nobody is
-- input.shelf    a random number; the first one names what the crawl has in MongoDB from then on
-- input.limit    requests that may stay in Redis; less than 0: nothing is to go
-- input.most     chunks to name of each kind
-- input.keep_ms  for how long what came back is kept in MongoDB
--
-- Returns {0, workers} if another is the mover, else {1, workers, shelf, spill, wanted, stale, out, over}:
--   workers are alive
--   spill   {id, name, length, list}, ...: chunks to be written to MongoDB, and the keys of their lists
--   wanted  {id, name, length, there, host}, ...: chunks to be brought back, of which `there` requests are there
--   stale   names to be deleted in MongoDB
--   out     requests that are in MongoDB
--   over    requests above the limit, those to be spilled included

deep_queues()

redis.call('HDEL', META, '') -- behind a write this runs in a full Redis as well, for it is to make room there

local MOVER = tag .. ':mover'
local mover = first_use('string', 'GET', MOVER)
-- Its time is no longer than it could be, also where Redis' clock went back.
if mover and mover ~= input.worker and redis.call('PTTL', MOVER) <= input.hold_ms then
  return { 0, redis.call('ZCARD', WORKERS) }
end
redis.call('SET', MOVER, input.worker, 'PX', input.hold_ms)

-- The youngest chunks are the last to be asked for.
local function to_spill(excess)
  local spill = {}
  for _, id in ipairs(excess > 0 and first_use('zset', 'ZRANGE', base .. ':here', 0, input.most - 1, 'REV') or {}) do
    local chunk = deep.chunk_of(id)
    if chunk.state ~= 'here' then
      redis.call('ZREM', base .. ':here', id)
    elseif excess > 0 then
      local name = id .. '-' .. digits(now_us)
      deep.give_back(name)
      spill[#spill + 1] = { id, name, chunk.length, chunk.list }
      excess = excess - chunk.length
    end
  end
  return spill
end

local function to_fetch()
  local wanted = {}
  for _, id in ipairs(first_use('zset', 'ZRANGE', base .. ':wanted', 0, input.most - 1)) do
    local chunk = deep.chunk_of(id)
    if chunk.state == 'out' then
      local there = redis.call('LLEN', sound(chunk.list, 'list'))
      wanted[#wanted + 1] = { id, chunk.name, chunk.length, there, chunk.host }
    else
      redis.call('ZREM', base .. ':wanted', id)
    end
  end
  return wanted
end

redis.call('HSETNX', META, 'shelf', input.shelf)
local excess = input.limit < 0 and 0 or math.max(0, meta.queued - meta.out - input.limit)
local spill, wanted = to_spill(excess), to_fetch()
local stale = first_use('zset', 'ZRANGE', RETURNED, '-inf', digits(now_ms - input.keep_ms), 'BYSCORE',
                        'LIMIT', 0, input.most)
save_counters()
return { 1, redis.call('ZCARD', WORKERS), redis.call('HGET', META, 'shelf'), spill, wanted, stale, meta.out,
         excess }
