-- The state of one crawl, shared by every script of the frontier. The client puts this file in front
-- of each of them. A script runs alone in Redis, so that all it does is one atomic step.
--
-- KEYS[1]  {crawl}:meta. Every other key is derived from it and shares its hash tag, and with it its
--          node of a Redis Cluster.
-- ARGV[1]  the script's input, one msgpack map
--
-- Units: *_us microseconds and *_ms milliseconds of Redis' own clock. A limit or delay of 0: none.

local tag = string.sub(KEYS[1], 1, -6)
local input = cmsgpack.unpack(ARGV[1])

local META = KEYS[1]               -- hash    counters, generation, run, size of the seen set
local WORKERS = tag .. ':workers'  -- zset    worker -> ms at which it is taken for dead
local BUSY = tag .. ':busy'        -- set     workers that may still bring work of their own
local HUNGRY = tag .. ':hungry'    -- set     workers that last got less than they wanted
local POLICY = tag .. ':policy'    -- hash    host -> "delay_ms limit" where it differs from the rest
local DEAD = tag .. ':dead'        -- stream  dead letters: host, priority, attempts, reason, payload
local PURGE = tag .. ':purge'      -- hash    generation given up -> seen buckets still to be freed
-- Of one generation, which ends when its crawl is cleared:
local base                         --         {crawl}:<generation>
local READY                        -- zset    host -> us from which one of its requests may start
--   <base>:host:<host>               hash    queued, active, next_us
--   <base>:priorities:<host>         zset    priority -> its negative, of the lists that exist
--   <base>:requests:<host>:<prio>    list    "attempts payload", the oldest first
--   <base>:seen:<bucket>             set     fingerprints as integers
--   <base>:worker:<worker>           hash    sequence, first and last lease of its last reply, done
--   <base>:leases:<worker>           hash    lease -> "priority host attempts leased_ms payload"

local OK, FENCED = 0, 1

local function enter(generation)
  base = tag .. ':' .. generation
  READY = base .. ':ready'
end
enter(redis.call('HGET', META, 'generation') or '1')

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

local function save_counters()
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

-- Hosts ---------------------------------------------------------------------------------------------

local hosts = {}     -- the hosts this script has touched
local policies       -- host -> "delay_ms limit"; read once, and only where there are any
local turn = 0       -- hosts served without a delay; keeps them in turn within one microsecond

local function policy_of(name)
  policies = policies or redis.call('HLEN', POLICY) > 0
  local own = policies and redis.call('HGET', POLICY, name)
  if own then
    local delay_ms, limit = string.match(own, '^(%d+) (%d+)$')
    return tonumber(delay_ms), tonumber(limit)
  end
  return input.delay_ms or 0, input.limit or 0
end

local function host_of(name)
  local host = hosts[name]
  if not host then
    local state = redis.call('HMGET', base .. ':host:' .. name, 'queued', 'active', 'next_us')
    host = { name = name, queued = tonumber(state[1]) or 0, active = tonumber(state[2]) or 0,
             next_us = tonumber(state[3]) or 0 }
    host.delay_ms, host.limit = policy_of(name)
    hosts[name] = host
  end
  host.touched = true
  return host
end

local function free_slots(host)
  if host.limit == 0 then return math.huge end
  return host.limit - host.active
end

-- A host that has no work left is kept until its next moment only, so that a later link still waits.
local function save_host(host)
  local key = base .. ':host:' .. host.name
  local waits_ms = math.ceil((host.next_us - now_us) / 1000)
  if host.queued == 0 and host.active == 0 and waits_ms <= 0 then
    redis.call('DEL', key)
  else
    redis.call('HSET', key, 'queued', host.queued, 'active', host.active, 'next_us', digits(host.next_us))
    if host.queued == 0 and host.active == 0 then
      redis.call('PEXPIRE', key, waits_ms)
    else
      redis.call('PERSIST', key)
    end
  end
  if host.queued == 0 or free_slots(host) <= 0 then
    redis.call('ZREM', READY, host.name)
  elseif host.served then
    redis.call('ZADD', READY, digits(host.next_us), host.name)
  else -- keeps its place in turn where it has one
    redis.call('ZADD', READY, 'NX', digits(math.max(host.next_us, now_us)), host.name)
  end
  host.touched, host.served = false, false
end

local function save_hosts()
  for _, host in pairs(hosts) do
    if host.touched then save_host(host) end
  end
end

-- Queues --------------------------------------------------------------------------------------------

local function push(host, priority, elements, to_front)
  local verb, length = to_front and 'LPUSH' or 'RPUSH', 0
  local key = base .. ':requests:' .. host.name .. ':' .. priority
  in_slices(elements, function(...) length = redis.call(verb, key, ...) end)
  if length == #elements then
    redis.call('ZADD', base .. ':priorities:' .. host.name, -priority, priority)
  end
  host.queued = host.queued + #elements
  count('queued', #elements)
end

-- Takes up to `room` elements, the highest priority first, then the oldest: {priority, element}, ...
local function pop(host, room)
  local taken, priorities = {}, base .. ':priorities:' .. host.name
  while #taken < room do
    local priority = redis.call('ZRANGE', priorities, 0, 0)[1]
    if not priority then break end
    local key = base .. ':requests:' .. host.name .. ':' .. priority
    for _, element in ipairs(redis.call('LPOP', key, room - #taken) or {}) do
      taken[#taken + 1] = { priority, element }
    end
    if redis.call('EXISTS', key) == 0 then redis.call('ZREM', priorities, priority) end
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

-- Leases --------------------------------------------------------------------------------------------

-- Takes a lease back from its worker: {host, priority, attempts, payload}, or nil if it has none such.
local function take_back(record)
  if not record then return nil end
  local priority, name, attempts, start = string.match(record, '^(%S+) (%S+) (%d+) %d+ ()')
  local host = host_of(name)
  host.active = host.active - 1
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

-- Ends a worker. What it held goes back to the front of the queues; `reason` counts it as an attempt.
local function remove_worker(worker, reason)
  local held = redis.call('HGETALL', base .. ':leases:' .. worker)
  local records = {}
  for i = 1, #held, 2 do records[#records + 1] = { tonumber(held[i]), held[i + 1] } end
  table.sort(records, function(a, b) return a[1] > b[1] end) -- the oldest goes to the front last
  for _, pair in ipairs(records) do
    local lease = take_back(pair[2])
    if reason and lease.attempts + 1 >= input.max_attempts then
      fail(lease, reason, true)
    else
      requeue(lease, lease.attempts + (reason and 1 or 0), true)
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

-- Generations ---------------------------------------------------------------------------------------

-- Gives up all queues and the seen set at the cost of one number; `purge` frees them bit by bit.
local function retire_generation()
  local seen = counters('generation', 'seen_level', 'seen_split')
  local generation = math.max(seen[1], 1)
  redis.call('HSET', PURGE, generation, 2 ^ seen[2] + seen[3])
  redis.call('HSET', META, 'generation', generation + 1, 'seen_level', 0, 'seen_split', 0, 'seen', 0)
  enter(generation + 1)
end

-- Frees up to `most` buckets and hosts of generations given up. Returns whether any are left.
local function purge(most)
  local generation, buckets = unpack(redis.call('HGETALL', PURGE))
  if not generation then return false end
  local old = tag .. ':' .. generation
  buckets = tonumber(buckets)
  for bucket = math.max(buckets - most, 0), buckets - 1 do
    redis.call('UNLINK', old .. ':seen:' .. digits(bucket))
  end
  local names = redis.call('ZPOPMIN', old .. ':ready', most)
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
