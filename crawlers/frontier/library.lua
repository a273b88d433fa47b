-- Queues, leases, workers and generations of one crawl, shared by every script; put behind hosts.lua.

-- Queues --------------------------------------------------------------------------------------------

local function push(host, priority, elements, to_front)
  local verb, length = to_front and 'LPUSH' or 'RPUSH', 0
  local key = base .. ':requests:' .. host.name .. ':' .. priority
  in_slices(elements, function(...) length = first_use('list', verb, key, ...) end)
  if length == #elements then
    first_use('zset', 'ZADD', base .. ':priorities:' .. host.name, -priority, priority)
  end
  host.queued = host.queued + #elements
  count('queued', #elements)
end

-- Takes up to `room` elements, the highest priority first, then the oldest: {priority, element}, ...
-- `of_one_priority`: none of the next one.
local function pop(host, room, of_one_priority)
  local taken, priorities = {}, base .. ':priorities:' .. host.name
  while #taken < room do
    local priority = first_use('zset', 'ZRANGE', priorities, 0, 0)[1]
    if not priority then break end
    local key = base .. ':requests:' .. host.name .. ':' .. priority
    for _, element in ipairs(whole(priority) and first_use('list', 'LPOP', key, room - #taken) or {}) do
      if string.match(element, '^%d%d?%d?%d? ') then
        taken[#taken + 1] = { priority, element }
      else
        odd[#odd + 1] = { element, 'this was not queued by a worker' }
      end
    end
    if redis.call('EXISTS', key) == 0 or not whole(priority) then
      redis.call('ZREM', priorities, priority)
    end
    if of_one_priority and #taken > 0 then break end
  end
  host.queued = host.queued - #taken
  count('queued', -#taken)
  return taken
end

local function bury(host, priority, attempts, reason, payload)
  redis.call('XADD', DEAD, '*', 'host', host, 'priority', priority, 'attempts', attempts,
             'reason', reason, 'payload', payload)
  count('dead', 1)
end

function bury_odd()
  for _, entry in ipairs(odd) do bury('redis', 0, 0, entry[2], string.sub(entry[1], 1, 500)) end
  count('enqueued', #odd)
  odd = {}
end

-- Leases --------------------------------------------------------------------------------------------

-- Takes a lease back from its worker: {host, priority, attempts, payload}, or nil if it has none such.
local function take_back(id, record)
  if not record then return nil end
  local priority, name, attempts, start = string.match(record, '^(-?%d+) (%S+) (%d+) %d+ ()')
  if not start then
    odd[#odd + 1] = { record, 'this was not leased by a worker' }
    return nil
  end
  local host = host_of(name)
  host.active = host.active - 1
  end_turn(host, id)
  count('leased', -1)
  return { host = host, priority = priority, attempts = tonumber(attempts),
           payload = string.sub(record, start) }
end

local function requeue(lease, attempts, to_front)
  push(lease.host, lease.priority, { attempts .. ' ' .. lease.payload }, to_front)
end

-- A request that failed is tried again after the rest of its host, or ends among the dead letters.
local function fail(lease, reason, final)
  local attempts = lease.attempts + 1
  if final or attempts >= input.max_attempts then
    bury(lease.host.name, lease.priority, attempts, reason, lease.payload)
  else
    requeue(lease, attempts, false)
  end
end

-- A page that kills its worker takes innocent ones along, again and again, for they go back to the front
-- together. So who is on the last attempt after a death is a suspect; a worker holds at most one of them,
-- and only a suspect is buried with its worker.
local suspects -- how many there are, nil where that is to be read

local function is_suspect(payload)
  suspects = suspects or redis.call('SCARD', SUSPECTS)
  return suspects > 0 and redis.call('SISMEMBER', SUSPECTS, payload) == 1
end

local function exonerate(payload)
  if is_suspect(payload) then redis.call('SREM', SUSPECTS, payload) end
end

-- Its worker died.
local function survive(lease, reason)
  local attempts = lease.attempts + 1
  if attempts >= input.max_attempts and is_suspect(lease.payload) then
    exonerate(lease.payload)
    return fail(lease, reason, true)
  end
  if attempts >= input.max_attempts - 1 then
    redis.call('SADD', SUSPECTS, lease.payload)
    suspects = nil
  end
  requeue(lease, math.min(attempts, math.max(input.max_attempts - 1, 0)), true)
end

-- Ends a worker. What it held goes back to the front of the queues; `reason` counts it as an attempt.
local function remove_worker(worker, reason)
  local held = redis.call('HGETALL', sound(base .. ':leases:' .. worker, 'hash'))
  local records = {}
  for i = 1, #held, 2 do records[#records + 1] = { whole(held[i]) or 0, held[i + 1] } end
  table.sort(records, function(a, b) return a[1] > b[1] end) -- the oldest goes to the front last
  for _, pair in ipairs(records) do
    local lease = take_back(pair[1], pair[2])
    if lease and reason then
      visited(lease.host, pair[1], now_us) -- it may have been, and told nobody
      survive(lease, reason)
    elseif lease then
      requeue(lease, lease.attempts, true)
    end
  end
  redis.call('DEL', base .. ':leases:' .. worker, base .. ':worker:' .. worker)
  redis.call('ZREM', WORKERS, worker)
  redis.call('SREM', BUSY, worker)
  redis.call('SREM', HUNGRY, worker)
end

-- Takes the leases of up to `most` workers that were not heard of for longer than their time to live.
local function reap(most)
  local expired = redis.call('ZRANGE', WORKERS, '-inf', digits(now_ms), 'BYSCORE', 'LIMIT', 0, most)
  for _, worker in ipairs(expired) do
    remove_worker(worker, 'its worker died: ' .. worker)
    count('reaped', 1)
  end
  return #expired
end

-- The end ------------------------------------------------------------------------------------------

-- A sealed crawl doesn't wait for workers that may still bring work, a paused one for nobody.
local function is_finished()
  local left = counters('queued', 'leased', 'finished', 'paused', 'sealed')
  local finished = 0
  if left[1] == 0 and left[2] == 0 and left[4] == 0 and (left[5] == 1 or redis.call('SCARD', BUSY) == 0) then
    finished = 1
  end
  if finished ~= left[3] then redis.call('HSET', META, 'finished', finished, 'finished_ms', digits(now_ms)) end
  return finished
end

-- Generations ---------------------------------------------------------------------------------------

-- Gives up all queues and the seen set at the cost of one number; `purge` frees them bit by bit.
local function retire_generation()
  local seen = counters('generation', 'seen_level', 'seen_split')
  local generation = math.max(seen[1], 1)
  redis.call('HSET', PURGE, generation, 2 ^ seen[2] + seen[3])
  redis.call('HSET', META, 'generation', generation + 1, 'seen_level', 0, 'seen_split', 0, 'seen', 0)
  redis.call('HDEL', META, 'scrapy_redis')
  enter(generation + 1)
end

-- Frees up to `most` buckets and hosts of generations given up. Returns whether any are left.
local function purge(most)
  local generation, buckets = unpack(redis.call('HGETALL', PURGE))
  if not generation then return false end
  local old = tag .. ':' .. generation
  redis.call('UNLINK', old .. ':suspects', old .. ':pages')
  buckets = whole(buckets, 2 ^ 27) or 0
  for bucket = math.max(buckets - most, 0), buckets - 1 do
    redis.call('UNLINK', old .. ':seen:' .. digits(bucket))
  end
  local names = redis.call('ZPOPMIN', old .. ':ready', most)
  if #names == 0 then names = redis.call('ZPOPMIN', old .. ':urgent', most) end
  for i = 1, #names, 2 do
    local priorities = old .. ':priorities:' .. names[i]
    for _, priority in ipairs(redis.call('ZRANGE', priorities, 0, -1)) do
      redis.call('UNLINK', old .. ':requests:' .. names[i] .. ':' .. priority)
    end
    redis.call('UNLINK', priorities, old .. ':host:' .. names[i])
  end
  if buckets > most or #names > 0 then
    redis.call('HSET', PURGE, generation, math.max(buckets - most, 0))
  else
    redis.call('HDEL', PURGE, generation)
  end
  return redis.call('EXISTS', PURGE) == 1
end
