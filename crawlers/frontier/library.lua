-- Dead letters, leases, workers and generations of one crawl, shared by every script; put behind queues.lua.

-- Dead letters -------------------------------------------------------------------------------------

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

-- A lease as its worker holds it: priority, host, ms since 1970, attempts, and where its payload starts.
local RECORD = '^(-?%d+) (%S+) (%d+) (%d+) ()'

-- A spare is a lease without a slot of its host: its worker, which has all of them, starts it in the place of
-- another that it has there, once that is over, and so need not come back for each page. A slot is free when
-- its worker has no spares of that host. Its record knows how many it has, by host.
local function read_spares(text)
  local spares = {}
  for name, number in string.gmatch(text or '', '(%S+) (%d+)') do spares[name] = number_of(number) end
  return spares
end

-- Host, number, ... in one row, of those that are left.
local function spares_left(spares)
  local left = {}
  for name, number in pairs(spares) do
    if number > 0 then left[#left + 1], left[#left + 2] = name, number end
  end
  return left
end

local function add_spares(spares, name, number)
  spares[name] = (spares[name] or 0) + number
  meta.spares = meta.spares + number
end

-- So many leases of `host` have ended, of a worker with these spares.
local function end_leases(host, number, spares)
  local name = host.name
  local without_slot = math.min(number, spares[name] or 0)
  if without_slot > 0 then add_spares(spares, name, -without_slot) end
  host.active = host.active - (number - without_slot)
  meta.leased = meta.leased - number
end

-- What a lease was for: {host, priority, attempts, payload}.
local function request_of(record, host)
  local priority, _, _, attempts, start = string.match(record, RECORD)
  return { host = host, priority = priority, attempts = tonumber(attempts), payload = string.sub(record, start) }
end

-- Takes leases back from a worker with these spares and gives each to `act` with its host: ids and records,
-- false for one that it doesn't hold.
local function take_back(ids, records, spares, act)
  local names, of = {}, {}
  for i, record in ipairs(records) do
    local _, name, _, _, start = string.match(record or '', RECORD)
    if start then
      names[#names + 1], of[i] = name, name
    elseif record then
      odd[#odd + 1] = { record, 'this was not leased by a worker' }
    end
  end
  read_hosts(names)
  for i, id in ipairs(ids) do
    if of[i] then
      local host = host_of(of[i])
      end_leases(host, 1, spares)
      end_turn(host, id)
      if act then act(id, host, records[i]) end
    end
  end
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

local function are_suspects()
  suspects = suspects or redis.call('SCARD', SUSPECTS)
  return suspects > 0
end

local function is_suspect(payload)
  return are_suspects() and redis.call('SISMEMBER', SUSPECTS, payload) == 1
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
  local spares = read_spares(first_use('hash', 'HGET', base .. ':worker:' .. worker, 'spares'))
  local leases, ids, records = {}, {}, {}
  for i = 1, #held, 2 do leases[#leases + 1] = { whole(held[i]) or 0, held[i + 1] } end
  table.sort(leases, function(a, b) return a[1] > b[1] end) -- the oldest goes to the front last
  for i, lease in ipairs(leases) do ids[i], records[i] = lease[1], lease[2] end
  take_back(ids, records, spares, function(id, host, record)
    local lease = request_of(record, host)
    if reason then
      visited(host, id, now_us) -- it may have been, and told nobody
      survive(lease, reason)
    else
      requeue(lease, lease.attempts, true)
    end
  end)
  for name, number in pairs(spares) do add_spares(spares, name, -number) end
  redis.call('DEL', base .. ':leases:' .. worker, base .. ':worker:' .. worker)
  redis.call('ZREM', WORKERS, worker)
  redis.call('SREM', BUSY, worker)
  redis.call('SREM', HUNGRY, worker)
end

-- Takes the leases of up to `most` workers that were not heard of for longer than their time to live.
local function reap(most)
  if redis.call('ZCOUNT', WORKERS, '-inf', digits(now_ms)) == 0 then return 0 end
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
  local finished = 0
  if meta.queued == 0 and meta.leased == 0 and meta.paused == 0
     and (meta.sealed == 1 or redis.call('SCARD', BUSY) == 0) then
    finished = 1
  end
  if finished ~= meta.finished then
    meta.finished = finished
    redis.call('HSET', META, 'finished_ms', digits(now_ms))
  end
  return finished
end

-- Generations ---------------------------------------------------------------------------------------

-- Gives up all queues and the seen set at the cost of one number; `purge` frees them bit by bit.
local function retire_generation()
  local generation = math.max(meta.generation, 1)
  first_use('hash', 'HSET', PURGE, generation, 2 ^ meta.seen_level + meta.seen_split)
  meta.generation = generation + 1
  for _, name in ipairs({ 'seen_level', 'seen_split', 'seen', 'out' }) do meta[name] = 0 end
  redis.call('HDEL', META, 'scrapy_redis')
  enter(generation + 1)
end

-- The seen set has at most so many buckets, see seen.lua.
local HASH_BITS = 26
local HASHES = 2 ^ HASH_BITS

-- The bucket that was made after so many others: while they are doubled, by the split of one after the other.
local function bucket_after(others)
  if others == 0 then return 0 end
  local _, exponent = math.frexp(others)
  local doubled = 2 ^ (exponent - 1)
  return (others - doubled + 0.5) * HASHES / doubled
end

-- Frees up to `most` buckets and hosts of generations given up. Returns whether any are left.
local function purge(most)
  if first_use('hash', 'HLEN', PURGE) == 0 then return false end
  local generation, buckets = unpack(redis.call('HGETALL', PURGE))
  local old = tag .. ':' .. generation
  redis.call('UNLINK', old .. ':suspects', old .. ':pages', old .. ':deep_hosts')
  buckets = whole(buckets, 2 ^ 27) or 0
  for others = math.max(buckets - most, 0), buckets - 1 do
    redis.call('UNLINK', old .. ':seen:' .. bucket_after(others))
  end
  local names = redis.call('ZPOPMIN', old .. ':ready', most)
  if #names == 0 then names = redis.call('ZPOPMIN', old .. ':urgent', most) end
  for i = 1, #names, 2 do
    local priorities = old .. ':priorities:' .. names[i]
    local found = redis.call('ZRANGE', priorities, 0, -1)
    found[#found + 1] = string.match(redis.call('HGET', old .. ':hosts', names[i]) or '', '^%S+ (%S+)')
    for _, priority in ipairs(found) do
      for _, kind in ipairs({ ':requests:', ':deep:', ':tail:' }) do
        redis.call('UNLINK', old .. kind .. names[i] .. ':' .. priority)
      end
    end
    redis.call('UNLINK', priorities)
  end
  if deep_queues().purge_chunks(old, most) or buckets > most or #names > 0 then
    redis.call('HSET', PURGE, generation, math.max(buckets - most, 0))
  else
    redis.call('HDEL', PURGE, generation)
    redis.call('UNLINK', old .. ':hosts')
  end
  return redis.call('EXISTS', PURGE) == 1
end
