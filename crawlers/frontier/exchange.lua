-- exchange: a worker hands in what it did and found, proves to be alive, and leases more.
--
-- input.worker        name given at `join`
-- input.sequence      1, 2, 3, ... of this worker; the same number again is the same exchange again
-- input.found         links: {fingerprint or false, host, priority, payload}, ... ; false: not deduplicated
-- input.done          leases whose pages are complete
-- input.failed        {lease, reason, final}, ... ; final: not to be tried again
-- input.refused       {source, payload, reason}, ... what can't be crawled; straight to the dead letters
-- input.want          most leases to hand out
-- input.idle          true: this worker has nothing of its own left to bring
-- input.ttl_ms        how long after this exchange the worker is taken for alive
-- input.max_attempts  after so many a request ends among the dead letters
-- input.delay_ms      least time between two leases of a host; 0: none
-- input.limit         most leases of a host at once over all workers; 0: no limit
--
-- Returns {OK, leases, counters, due_ms, finished, workers, known}, or {FENCED} without any effect:
--   leases    {lease, host, priority, attempts, payload}, ...
--   counters  enqueued, done, queued, leased, dead, dropped
--   due_ms    until the next host is due; 0: now; -1: no host waits
--   finished  1: nothing is queued, leased or still to come over all workers
--   known     of `found`, how many had been seen before

local BUCKET_LOAD = 200 -- mean; the fullest holds 2x as many and stays an intset, whose limit is 512
local HASH_BITS = 26

-- The seen set: linear hashing over sets of integers. Litwin, "Linear hashing: a new tool for file and
-- table addressing", VLDB 1980: bucket `split` is the next to be split, `level` the doublings so far.
local seen = counters('seen_level', 'seen_split', 'seen')
local level, split, size = seen[1], seen[2], seen[3]

-- The low bits of a fingerprint. Lua counts exactly to 2^53 only, so its digits go in three parts.
local function hash_of(fingerprint)
  local text = string.gsub(fingerprint, '^-', '')
  local low = tonumber(string.sub(text, -7))
  local middle = tonumber(string.sub(text, -14, -8)) or 0
  local high = tonumber(string.sub(text, 1, -15)) or 0
  return (high * (1e14 % 2 ^ HASH_BITS) + middle * 1e7 + low) % 2 ^ HASH_BITS
end

local function bucket_key(bucket)
  return base .. ':seen:' .. digits(bucket)
end

-- The two halves are written anew, so that a bucket that outgrew its intset becomes one again.
local function split_bucket()
  local from, to, kept, moved = bucket_key(split), bucket_key(split + 2 ^ level), {}, {}
  for _, fingerprint in ipairs(redis.call('SMEMBERS', from)) do
    local half = hash_of(fingerprint) % 2 ^ (level + 1) == split and kept or moved
    half[#half + 1] = fingerprint
  end
  redis.call('DEL', from)
  in_slices(kept, function(...) redis.call('SADD', from, ...) end)
  in_slices(moved, function(...) redis.call('SADD', to, ...) end)
  split = split + 1
  if split == 2 ^ level then level, split = level + 1, 0 end
end

local function add_to_seen(fingerprint)
  local hash = hash_of(fingerprint)
  local bucket = hash % 2 ^ level
  if bucket < split then bucket = hash % 2 ^ (level + 1) end
  if redis.call('SADD', bucket_key(bucket), fingerprint) == 0 then return false end
  size = size + 1
  if size > BUCKET_LOAD * (2 ^ level + split) and level < HASH_BITS then split_bucket() end
  return true
end

local function save_seen()
  if size ~= seen[3] then
    redis.call('HSET', META, 'seen_level', level, 'seen_split', split, 'seen', digits(size))
  end
end

-- 1. Links: drop what was seen, queue the rest under their host, by priority, then by age.
local function take_found(found)
  local queues, known = {}, 0
  for _, link in ipairs(found) do
    local fingerprint, name, priority, payload = unpack(link)
    if fingerprint and not add_to_seen(fingerprint) then
      known = known + 1
    else
      local at = name .. ' ' .. priority
      queues[at] = queues[at] or { name = name, priority = priority, elements = {} }
      table.insert(queues[at].elements, '0 ' .. payload)
    end
  end
  for _, queue in pairs(queues) do
    push(host_of(queue.name), digits(queue.priority), queue.elements, false)
    count('enqueued', #queue.elements)
  end
  save_seen()
  count('dropped', known)
  return known
end

-- 2. Completions. A lease that this worker doesn't hold changes nothing.
local function settle(leases_key, done, failed)
  local completed = 0
  for _, lease in ipairs(done) do
    local record = redis.call('HGET', leases_key, digits(lease))
    if take_back(record) then
      redis.call('HDEL', leases_key, digits(lease))
      completed = completed + 1
    end
  end
  for _, failure in ipairs(failed) do
    local lease = take_back(redis.call('HGET', leases_key, digits(failure[1])))
    if lease then
      redis.call('HDEL', leases_key, digits(failure[1]))
      fail(lease, failure[2], failure[3])
    end
  end
  count('done', completed)
  return completed
end

local function take_refused(refused)
  for _, entry in ipairs(refused) do bury(entry[1], 0, 0, entry[3], entry[2]) end
  count('enqueued', #refused)
end

-- While others go hungry, a worker that holds more than the mean of all gets no more. Otherwise the first
-- to come keeps all slots of a host, for each page that it completes frees one in that very exchange.
local function fair_room(room, held)
  local others = redis.call('SCARD', HUNGRY) - redis.call('SISMEMBER', HUNGRY, input.worker)
  if others == 0 then return room end
  local leased = counters('leased')[1] + (change.leased or 0) + held.more
  return math.min(room, math.ceil((leased + room) / redis.call('ZCARD', WORKERS)) - held.before - held.more)
end

local function serve(host, share, held)
  local room = math.min(share, free_slots(host))
  if host.delay_ms > 0 then room = math.min(room, 1) end
  room = fair_room(room, held)
  if room <= 0 then return {} end
  local taken = pop(host, room)
  turn = turn + 1
  host.active = host.active + #taken
  host.next_us = now_us + host.delay_ms * 1000 + turn
  host.served = true
  save_host(host)
  held.more = held.more + #taken
  return taken
end

-- 5. Leases. The hosts that are due share what is wanted, in the order of their next moments.
local function lease(leases_key, want)
  local leased, records, held = {}, {}, { before = redis.call('HLEN', leases_key), more = 0 }
  repeat
    local rest, before = want - #leased, #leased
    local due = redis.call('ZRANGE', READY, '-inf', digits(now_us + turn), 'BYSCORE', 'LIMIT', 0, rest)
    for _, name in ipairs(due) do
      for _, pair in ipairs(serve(host_of(name), math.floor(rest / #due), held)) do
        local attempts, start = string.match(pair[2], '^(%d+) ()')
        table.insert(leased, { 0, name, pair[1], tonumber(attempts), string.sub(pair[2], start) })
      end
    end
  until #leased >= want or #leased == before
  local last = #leased > 0 and redis.call('HINCRBY', META, 'last_lease', #leased) or 0
  for i, l in ipairs(leased) do
    l[1] = last - #leased + i
    table.insert(records, digits(l[1]))
    table.insert(records, table.concat({ l[3], l[2], l[4], digits(now_ms), l[5] }, ' '))
  end
  in_slices(records, function(...) redis.call('HSET', leases_key, ...) end)
  count('leased', #leased)
  return leased, last - #leased + 1, last
end

-- What a lost reply held: its leases are still this worker's, under consecutive numbers.
local function leased_before(leases_key, first, last)
  local leased = {}
  for id = first, last do
    local record = redis.call('HGET', leases_key, digits(id))
    local priority, name, attempts, start = string.match(record, '^(%S+) (%S+) (%d+) %d+ ()')
    leased[#leased + 1] = { id, name, priority, tonumber(attempts), string.sub(record, start) }
  end
  return leased
end

local function is_finished()
  local left = counters('queued', 'leased', 'finished')
  local finished = 0
  if left[1] == 0 and left[2] == 0 and redis.call('SCARD', BUSY) == 0 then finished = 1 end
  if finished ~= left[3] then redis.call('HSET', META, 'finished', finished, 'finished_ms', digits(now_ms)) end
  return finished
end

local function reply(leased, known)
  local due = redis.call('ZRANGE', READY, 0, 0, 'WITHSCORES')[2]
  local due_ms = due and math.max(0, math.ceil((due - now_us) / 1000)) or -1
  return { OK, leased, counters('enqueued', 'done', 'queued', 'leased', 'dead', 'dropped'), due_ms,
           is_finished(), redis.call('ZCARD', WORKERS), known }
end

local worker_key = base .. ':worker:' .. input.worker
local leases_key = base .. ':leases:' .. input.worker
if not redis.call('ZSCORE', WORKERS, input.worker) then return { FENCED } end
local before = redis.call('HMGET', worker_key, 'sequence', 'first', 'last')
local sequence = tonumber(before[1])
if sequence ~= input.sequence and sequence ~= input.sequence - 1 then
  -- Redis came back without its last writes: what this worker believes to hold may be another's now.
  remove_worker(input.worker)
  save_hosts()
  save_counters()
  return { FENCED }
end

-- 3. The heartbeat: alive until now + ttl, and with it every lease that this worker holds.
redis.call('ZADD', WORKERS, digits(now_ms + input.ttl_ms), input.worker)
if sequence == input.sequence then
  return reply(leased_before(leases_key, tonumber(before[2]), tonumber(before[3])), 0)
end
local known = take_found(input.found)
take_refused(input.refused)
local completed = settle(leases_key, input.done, input.failed)
reap(1) -- 4.
save_hosts()
local leased, first, last = lease(leases_key, input.want)
redis.call('HSET', worker_key, 'sequence', input.sequence, 'first', digits(first), 'last', digits(last))
if completed > 0 then redis.call('HINCRBY', worker_key, 'done', completed) end
redis.call(input.idle and 'SREM' or 'SADD', BUSY, input.worker)
redis.call(#leased < input.want and 'SADD' or 'SREM', HUNGRY, input.worker)
save_counters()
purge(16)
return reply(leased, known)
