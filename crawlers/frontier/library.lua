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

-- One script takes back so many leases at most: with their hosts they take some 2 ms. Who holds more goes on ending
-- with the scripts that follow, each exchange of any worker among them. Until then its leases count as leased, and it
-- is a worker whose time has run out, and that is fenced.
local MOST_TAKEN_BACK = 64
local left_to_take_back = MOST_TAKEN_BACK

-- What follows from the end of a worker for a request that it held.
local function end_lease(id, host, record, ending)
  local lease = request_of(record, host)
  if ending == 'left' then return requeue(lease, lease.attempts, true) end
  visited(host, id, now_us) -- it may have been, and told nobody
  survive(lease, ending)
end

-- Some leases of a worker, in the order in which they go back to the front: the oldest last.
local function some_leases(leases_key, most)
  local held = redis.call('HRANDFIELD', leases_key, most, 'WITHVALUES')
  local leases, ids, records = {}, {}, {}
  for i = 1, #held, 2 do leases[#leases + 1] = { whole(held[i]) or 0, held[i], held[i + 1] } end
  table.sort(leases, function(a, b) return a[1] > b[1] end)
  local fields = {}
  for i, lease in ipairs(leases) do ids[i], fields[i], records[i] = lease[1], lease[2], lease[3] end
  return ids, fields, records
end

-- From now on no exchange of this worker has any effect. Returns how it ended, which the first to find out says.
local function fence(worker, ending)
  local key = base .. ':worker:' .. worker
  local ended, spares = unpack(first_use('hash', 'HMGET', key, 'ended', 'spares'))
  if not ended then
    redis.call('HSET', key, 'ended', ending)
    redis.call('ZADD', WORKERS, 'XX', 'LT', digits(now_ms), worker)
    redis.call('SREM', BUSY, worker)
    redis.call('SREM', HUNGRY, worker)
    if ending ~= 'left' then count('reaped', 1) end
  end
  return ended or ending, read_spares(spares)
end

-- Ends a worker. What it held goes back to the front of the queues; an `ending` that isn't 'left' is the reason with
-- which it counts as an attempt. Returns whether it still holds any.
local function remove_worker(worker, ending)
  local key, leases_key = base .. ':worker:' .. worker, sound(base .. ':leases:' .. worker, 'hash')
  local ended, spares = fence(worker, ending)
  local most = left_to_take_back
  local ids, fields, records = {}, {}, {}
  if most > 0 then ids, fields, records = some_leases(leases_key, most) end
  take_back(ids, records, spares, function(id, host, record) end_lease(id, host, record, ended) end)
  in_slices(fields, function(...) redis.call('HDEL', leases_key, ...) end)
  left_to_take_back = most - #ids
  if redis.call('EXISTS', leases_key) == 1 then
    redis.call('HSET', key, 'spares', table.concat(spares_left(spares), ' '))
    return true
  end
  for name, number in pairs(spares) do add_spares(spares, name, -number) end
  redis.call('DEL', key)
  redis.call('ZREM', WORKERS, worker)
  return false
end

-- Redis' clock may step. A worker that proves to be alive shows it by the moment at which its time was to run out. If
-- that is further ahead than its time to live, the clock went back: `ahead_us` is where it had been, and no moment is
-- trusted beyond what could have been written since. If it has passed, and nobody took the worker for dead, all who
-- are in the same case get another time to live: the clock went forward, or Redis was away. Returns for how many ms,
-- by that clock, the worker hasn't been heard of.
local MOST_MENDED, A_DAY_MS = 200, 86400000
function meta.mend_clock(until_ms, ttl_ms)
  local from, to
  if until_ms > now_ms + ttl_ms then
    meta.ahead_us = math.max(meta.ahead_us, until_ms * 1000)
    from, to = '(' .. digits(now_ms + ttl_ms), '+inf'
  elseif until_ms <= now_ms then
    meta.back_us = now_us
    from, to = digits(now_ms - A_DAY_MS), digits(now_ms)
  else
    return now_ms - until_ms + ttl_ms
  end
  for _, worker in ipairs(redis.call('ZRANGE', WORKERS, from, to, 'BYSCORE', 'LIMIT', 0, MOST_MENDED)) do
    local own_ms, ended = unpack(redis.call('HMGET', base .. ':worker:' .. worker, 'ttl_ms', 'ended'))
    local most_ms = now_ms + (whole(own_ms, MOST_TERM) or ttl_ms)
    if not ended then redis.call('ZADD', WORKERS, 'XX', to == '+inf' and 'LT' or 'GT', digits(most_ms), worker) end
  end
  return now_ms - until_ms + ttl_ms
end

-- Takes the leases of up to `most` workers that were not heard of for longer than their time to live. Returns whether
-- there may be more.
local function reap(most)
  if redis.call('ZCOUNT', WORKERS, '-inf', digits(now_ms)) == 0 then return false end
  local expired = redis.call('ZRANGE', WORKERS, '-inf', digits(now_ms), 'BYSCORE', 'LIMIT', 0, most)
  for _, worker in ipairs(expired) do
    if remove_worker(worker, 'its worker died: ' .. worker) then return true end
  end
  return #expired == most
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

-- Cookies belong to a run, as with Scrapy to a process.
local function forget_cookies()
  redis.call('DEL', tag .. ':cookies', tag .. ':cookie_sites')
end

-- Gives up all queues and the seen set at the cost of one number; `purge` frees them bit by bit.
local function retire_generation()
  local generation = math.max(meta.generation, 1)
  first_use('hash', 'HSET', PURGE, generation, 2 ^ meta.seen_level + meta.seen_split)
  meta.generation = generation + 1
  for _, name in ipairs({ 'seen_level', 'seen_split', 'seen', 'out' }) do meta[name] = 0 end
  redis.call('HDEL', META, 'scrapy_redis')
  forget_cookies()
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

local function purge_queue(old, name, priority)
  local queue = name .. ':' .. priority
  redis.call('UNLINK', old .. ':requests:' .. queue, old .. ':deep:' .. queue, old .. ':tail:' .. queue)
end

-- Frees some queues of a host of several priorities. Returns how many, and whether all of them are gone.
local function purge_several(old, name, most)
  local priorities = old .. ':priorities:' .. name
  local found = redis.call('ZPOPMIN', priorities, most)
  for i = 1, #found, 2 do purge_queue(old, name, found[i]) end
  return #found / 2 + 1, redis.call('EXISTS', priorities) == 0
end

-- Frees the queues of up to `most` priorities and hosts. Returns whether any may be left.
local function purge_hosts(old, most)
  for _, place in ipairs({ old .. ':ready', old .. ':urgent' }) do
    local names, gone = redis.call('ZRANGE', place, 0, most - 1), {}
    local works = #names > 0 and redis.call('HMGET', old .. ':hosts', unpack(names)) or {}
    for i, name in ipairs(names) do
      local only, freed, is_gone = whole(string.match(works[i] or '', '^%S+ (%S+)')), 1, true
      if only then purge_queue(old, name, digits(only)) else freed, is_gone = purge_several(old, name, most) end
      if is_gone then gone[#gone + 1] = name end
      most = most - freed
      if most <= 0 then break end
    end
    if #gone > 0 then redis.call('ZREM', place, unpack(gone)) end
    if #names > 0 then return true end
  end
  return false
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
  local hosts_left = purge_hosts(old, most)
  if deep_queues().purge_chunks(old, most) or buckets > most or hosts_left then
    redis.call('HSET', PURGE, generation, math.max(buckets - most, 0))
  else
    redis.call('HDEL', PURGE, generation)
    redis.call('UNLINK', old .. ':hosts')
  end
  return redis.call('EXISTS', PURGE) == 1
end
