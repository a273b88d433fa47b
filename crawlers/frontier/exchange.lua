-- exchange: a worker hands in what it did and found, proves to be alive, and leases more.
--
-- input.worker        name given at `join`
-- input.sequence      1, 2, 3, ... of this worker; the same number again is the same exchange again
-- input.found         links: {fingerprint or false, host, priority, payload, continues}, ... ; false: not
--                     deduplicated; continues: a retry or redirect of a page of this crawl
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
-- Returns {OK, leases, counters, due_ms, finished, workers, known, sealed}, or {FENCED} without any effect:
--   leases    {lease, host, priority, attempts, payload}, ...
--   counters  enqueued, done, queued, leased, dead, dropped
--   due_ms    until the next host is due; 0: now; -1: no host waits
--   finished  1: nothing is queued, leased or still to come over all workers
--   known     of `found`, how many were dropped: seen before, or come after the crawl was sealed
--   sealed    1: the crawl takes no more links and start URLs

local paused, sealed = unpack(counters('paused', 'sealed'))

-- 1. Links: drop what was seen, queue the rest under their host, by priority, then by age. A sealed crawl
-- takes only what continues a page of its own.
local function take_found(found)
  local queues, known = {}, 0
  for _, link in ipairs(found) do
    local fingerprint, name, priority, payload, continues = unpack(link)
    if (sealed == 1 and not continues) or (fingerprint and not add_to_seen(fingerprint)) then
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
    local held = take_back(redis.call('HGET', leases_key, digits(lease)))
    redis.call('HDEL', leases_key, digits(lease))
    if held then
      exonerate(held.payload)
      completed = completed + 1
    end
  end
  for _, failure in ipairs(failed) do
    local lease = take_back(redis.call('HGET', leases_key, digits(failure[1])))
    redis.call('HDEL', leases_key, digits(failure[1]))
    if lease then
      exonerate(lease.payload)
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
local function fair_room(host, room, held)
  local others = redis.call('SCARD', HUNGRY) - redis.call('SISMEMBER', HUNGRY, input.worker)
  if others == 0 then return room end
  local state = counters('leased', 'queued')
  local leased, queued = state[1] + (change.leased or 0) + held.more, state[2] + (change.queued or 0)
  -- What could be leased now, were all hosts that are due like this one.
  local slots = host.delay_ms > 0 and 1 or free_slots(host)
  local free = math.min(queued, slots * redis.call('ZCOUNT', READY, '-inf', digits(now_us + turn)))
  return math.min(room, math.ceil((leased + free) / redis.call('ZCARD', WORKERS)) - held.before - held.more)
end

local function holds_suspect(leases_key)
  for _, record in ipairs(redis.call('HVALS', leases_key)) do
    if is_suspect(string.match(record, '^%S+ %S+ %d+ %d+ (.*)$') or '') then return true end
  end
  return false
end

-- Of what was taken off the queues of `host`: all up to the second suspect that this worker would hold.
local function keep_one_suspect(host, taken, held)
  for i, pair in ipairs(taken) do
    if is_suspect(string.match(pair[2], '^%d+ (.*)$')) then
      if held.suspect == nil then held.suspect = holds_suspect(held.key) end
      if held.suspect then
        for _ = i, #taken do
          local last = table.remove(taken)
          push(host, last[1], { last[2] }, true)
        end
        break
      end
      held.suspect = true
    end
  end
  return taken
end

local function serve(host, share, held)
  local room = math.min(share, free_slots(host))
  if host.delay_ms > 0 then room = math.min(room, 1) end
  room = fair_room(host, room, held)
  local taken = room > 0 and keep_one_suspect(host, pop(host, room), held) or {}
  if #taken == 0 then
    save_host(host) -- beyond a limit that was lowered it is not ready
    return taken
  end
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
  if paused == 1 then want = 0 end
  local leased, records = {}, {}
  local held = { key = leases_key, before = redis.call('HLEN', leases_key), more = 0 }
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
    local record = redis.call('HGET', leases_key, digits(id)) or ''
    local priority, name, attempts, start = string.match(record, '^(-?%d+) (%S+) (%d+) %d+ ()')
    if start then
      leased[#leased + 1] = { id, name, priority, tonumber(attempts), string.sub(record, start) }
    end
  end
  return leased
end

local function reply(leased, known)
  local due = redis.call('ZRANGE', READY, 0, 0, 'WITHSCORES')[2]
  local due_ms = due and math.max(0, math.ceil((due - now_us) / 1000)) or -1
  return { OK, leased, counters('enqueued', 'done', 'queued', 'leased', 'dead', 'dropped'), due_ms,
           is_finished(), redis.call('ZCARD', WORKERS), known, sealed }
end

local worker_key = sound(base .. ':worker:' .. input.worker, 'hash')
local leases_key = sound(base .. ':leases:' .. input.worker, 'hash')
if not redis.call('ZSCORE', WORKERS, input.worker) then return { FENCED } end
local before = redis.call('HMGET', worker_key, 'sequence', 'first', 'last', 'done')
local sequence = whole(before[1])
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
  return reply(leased_before(leases_key, whole(before[2]) or 1, whole(before[3]) or 0), 0)
end
local known = take_found(input.found)
take_refused(input.refused)
local completed = settle(leases_key, input.done, input.failed)
reap(1) -- 4.
save_hosts()
local leased, first, last = lease(leases_key, input.want)
redis.call('HSET', worker_key, 'sequence', input.sequence, 'first', digits(first), 'last', digits(last),
           'done', (whole(before[4]) or 0) + completed)
redis.call(input.idle and 'SREM' or 'SADD', BUSY, input.worker)
redis.call(#leased < input.want and 'SADD' or 'SREM', HUNGRY, input.worker)
save_counters()
purge(16)
return reply(leased, known)
