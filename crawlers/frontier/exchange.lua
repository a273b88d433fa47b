-- exchange: a worker hands in what it did and found, proves to be alive, and leases more.
--
-- input.worker        name given at `join`
-- input.born          with `run` and `generation`: where the worker joined
-- input.sequence      1, 2, 3, ... of this worker; the same number again is the same exchange again
-- input.found         {host, priority, continues, fingerprints, elements}, ...: links, as elements of their queue;
--                     priority: as text; continues: retries or redirects of pages of this crawl; a fingerprint
--                     of false: not deduplicated
-- input.visits        {lease, ago_us}, ...: leases that went to their sites, and how long ago
-- input.news          {kind, host, ...}, ...: what hosts asked for and how they fared, see manners.lua
-- input.released      leases that weren't used: to the front of their queues, no attempt counted
-- input.done          {host, leases}, ...: leases whose pages are complete, as the fields that they are
-- input.failed        {lease, reason, final}, ... ; final: not to be tried again
-- input.refused       {source, payload, reason}, ... what can't be crawled; straight to the dead letters
-- input.want          most leases to hand out
-- input.idle          true: this worker has nothing of its own left to bring
-- input.ttl_ms        how long after this exchange the worker is taken for alive
-- input.max_attempts  after so many a request ends among the dead letters
-- input.slots         how many requests could start at once; who has to wait for it takes no turn of a host
-- input.spares        {host, slots}, ...: where it would take spares, and the leases with a slot that it still has
-- input.opened        hosts of starts that lie inside
-- ARGV[2]             '1': Redis has not run this script since it was started
--
-- Returns {OK, leases, counters, due_ms, finished, workers, known, sealed, spent, spares, spared, missing,
-- silent_ms}, or
-- {FENCED, counters, run, lost} without any effect:
--   leases    lease, record, flags, ... in one row; record: "priority host leased_ms attempts payload"; flags as
--             in leasing.lua
--   counters  enqueued, done, queued, leased, dead, dropped; version of the cookies
--   due_ms    until the next host is due; 0: now; -1: no host waits
--   finished  1: nothing is queued, leased or still to come over all workers
--   known     of `found`, how many were dropped: seen before, or come after the crawl was sealed
--   sealed    1: the crawl takes no more links and start URLs
--   spent     hosts that have just had all the pages that the crawl allows them
--   spares    host, number, ... in one row: of its leases there so many, the last, have no slot, see library.lua
--   missing   leases that the worker has ended and Redis didn't know; -1: there are requests that nobody can lease
--             or has leased, for keys were removed
--   silent_ms for so long the worker wasn't heard of, by Redis' clock; less than 0: that went back
--   lost      1: this isn't the frontier that the worker joined, or one of an earlier run; 2: it was cleared, or
--             is at a later run; else 0
--   spared    hosts of these that are to be left alone: their spares are to be released

-- Redis came back, and may have forgotten when hosts were asked: as if it had been just now.
if ARGV[2] == '1' and meta.last_lease > 0 then meta.back_us = now_us end

local PAGES = base .. ':pages'
local spent = {} -- hosts that have reached host_pages in this exchange
local taken_of = {} -- host -> links taken so far

-- Whether `host` may have one more page.
local function is_within_budget(name)
  taken_of[name] = taken_of[name] or whole(redis.call('HGET', sound(PAGES, 'hash'), name)) or 0
  if taken_of[name] >= terms.host_pages then
    count('over_budget', 1)
    return false
  end
  taken_of[name] = taken_of[name] + 1
  if taken_of[name] == terms.host_pages then spent[#spent + 1] = name end
  return true
end

-- 1. Links: drop what was seen, queue the rest under their host, by priority, then by age. A sealed crawl
-- takes only what continues a page of its own.
local function wanted_of(name, continues, fingerprints, elements)
  local wanted, number = {}, 0
  if not continues and meta.sealed == 1 then return wanted, number end
  local needs_no_budget = continues or terms.host_pages == 0
  for i = 1, #elements do
    if (not fingerprints[i] or add_to_seen(fingerprints[i])) and (needs_no_budget or is_within_budget(name)) then
      number = number + 1
      wanted[number] = elements[i]
    end
  end
  return wanted, number
end

local function take_found(found)
  local queues, known, new = {}, 0, 0
  for _, group in ipairs(found) do
    local elements, number = wanted_of(group[1], group[3], group[4], group[5])
    known, new = known + #group[5] - number, new + number
    if number > 0 then queues[#queues + 1] = { group[1], group[2], elements } end
  end
  push_all(queues)
  for name, number in pairs(taken_of) do redis.call('HSET', PAGES, name, number) end
  save_seen()
  count('enqueued', new)
  count('dropped', known)
  return known
end

-- 2. How hosts fared, and when they were asked.
local function take_news(leases_key)
  for _, visit in ipairs(input.visits) do
    local record = redis.call('HGET', leases_key, digits(visit[1])) or ''
    local _, name, leased_ms = string.match(record, RECORD)
    if name then
      local since_us = math.max(0, now_us - (whole(leased_ms) or 0) * 1000)
      visited(host_of(name), visit[1], now_us - math.max(0, math.min(visit[2], since_us)))
    end
  end
  for _, item in ipairs(input.news) do
    local host = host_of(item[2])
    news[item[1]](host, unpack(item, 3))
    moved(host)
    host.told = true
  end
end

local function exonerate_all(leases_key, fields)
  for _, field in ipairs(fields) do
    local record = redis.call('HGET', leases_key, field) or ''
    local _, _, _, _, start = string.match(record, RECORD)
    if start then exonerate(string.sub(record, start)) end
  end
end

-- 3. Completions. A lease that this worker doesn't hold changes nothing.
local silent_ms = 0
local missing = 0 -- leases that were this worker's, and that Redis doesn't know

local function complete(leases_key, spares)
  local names, completed, suspected = {}, 0, are_suspects()
  for i, group in ipairs(input.done) do names[i] = group[1] end
  read_hosts(names)
  for _, group in ipairs(input.done) do
    local host, fields, ended = host_of(group[1]), group[2], 0
    local turn_of = host.starting ~= 0 and digits(host.starting)
    local has_turn = turn_of and redis.call('HEXISTS', leases_key, turn_of) == 1
    if suspected then exonerate_all(leases_key, fields) end
    in_slices(fields, function(...) ended = ended + redis.call('HDEL', leases_key, ...) end)
    end_leases(host, ended, spares)
    if has_turn and redis.call('HEXISTS', leases_key, turn_of) == 0 then end_turn(host, host.starting) end
    completed, missing = completed + ended, missing + #fields - ended
  end
  count('done', completed)
  return completed
end

-- What is to be tried again, or wasn't used.
local function take_leases(leases_key, ids, spares, act)
  local fields, records, taken = {}, {}, {}
  for i, id in ipairs(ids) do fields[i] = digits(id) end
  in_slices(fields, function(...)
    for _, record in ipairs(redis.call('HMGET', leases_key, ...)) do records[#records + 1] = record end
    redis.call('HDEL', leases_key, ...)
  end)
  for i, id in ipairs(ids) do -- each once, however often it is named
    if taken[id] then records[i] = false end
    taken[id] = true
  end
  take_back(ids, records, spares, act)
end

local function settle(leases_key, spares)
  local failures, ids, released = {}, {}, {}
  for i, failure in ipairs(input.failed) do ids[i], failures[failure[1]] = failure[1], failure end
  take_leases(leases_key, ids, spares, function(id, host, record)
    local lease = request_of(record, host)
    exonerate(lease.payload)
    fail(lease, failures[id][2], failures[id][3])
  end)
  for i = #input.released, 1, -1 do released[#released + 1] = input.released[i] end
  take_leases(leases_key, released, spares, function(_, host, record) -- the oldest goes to the front last
    local lease = request_of(record, host)
    requeue(lease, lease.attempts, true)
  end)
end

local function take_refused(refused)
  for _, entry in ipairs(refused) do bury(entry[1], 0, 0, entry[3], entry[2]) end
  count('enqueued', #refused)
end

-- What a lost reply held: its leases are still this worker's, under consecutive numbers.
local function leased_before(leases_key, first, last)
  local leased = {}
  for id = first, last do
    local record = redis.call('HGET', leases_key, digits(id)) or ''
    local _, name = string.match(record, RECORD)
    if name then
      leased[#leased + 1] = id
      leased[#leased + 1] = record
      leased[#leased + 1] = flags_of(host_of(name))
    end
  end
  return leased
end

local function counts()
  return { meta.enqueued, meta.done, meta.queued, meta.leased, meta.dead, meta.dropped, meta.cookies }
end

-- Whether some requests can never be leased, or are nobody's: keys were removed. Asked where nothing is due.
local MOST_ASKED = 32
local function is_stuck()
  if meta.paused == 1 or redis.call('ZCARD', URGENT) > 0 then return false end
  if meta.queued > 0 then return meta.leased == 0 end
  if meta.leased <= 0 or redis.call('ZCARD', WORKERS) > MOST_ASKED then return meta.leased < 0 end
  local held = 0
  for _, worker in ipairs(redis.call('ZRANGE', WORKERS, 0, -1)) do
    held = held + redis.call('HLEN', base .. ':leases:' .. worker)
  end
  return held == 0
end

local function reply(leased, known, spares)
  local due = redis.call('ZRANGE', READY, 0, 0, 'WITHSCORES')[2]
  local due_ms = due and math.max(0, math.ceil((due - now_us) / 1000)) or -1
  if terms.strict == 1 and redis.call('ZCARD', URGENT) > 0 then due_ms = 0 end
  local finished = is_finished()
  save_counters()
  if not due and #leased == 0 and meta.queued + meta.leased ~= 0 and missing == 0 and is_stuck() then missing = -1 end
  return { OK, leased, counts(), due_ms, finished, redis.call('ZCARD', WORKERS), known, meta.sealed, spent,
           spares_left(spares), hosts_to_spare(spares), missing, silent_ms }
end

local worker_key = base .. ':worker:' .. input.worker
local leases_key = sound(base .. ':leases:' .. input.worker, 'hash')
-- Redis was emptied, restored from an older copy, or another has taken its place.
local lost = meta.born ~= input.born or meta.run < input.run or meta.generation < input.generation
if lost then return { FENCED, counts(), meta.run, 1 } end
local before = first_use('hash', 'HMGET', worker_key, 'sequence', 'first', 'last', 'done', 'spares', 'ended')
-- Who is ended has no record, or one that says so: if it has, the key with all workers was removed.
local is_later = meta.run > input.run or meta.generation > input.generation
local until_ms = tonumber(redis.call('ZSCORE', WORKERS, input.worker) or nil)
if before[6] or not (before[1] or until_ms) then
  return { FENCED, counts(), meta.run, is_later and 2 or 0 }
end
local sequence = whole(before[1])
if sequence ~= input.sequence and sequence ~= input.sequence - 1 then
  -- Redis came back without its last writes: what this worker believes to hold may be another's now.
  remove_worker(input.worker, 'left')
  save_hosts()
  save_counters()
  return { FENCED, counts(), meta.run, 0 }
end

local spares = read_spares(before[5])

if until_ms then silent_ms = meta.mend_clock(until_ms, input.ttl_ms) end
-- 4. The heartbeat: alive until now + ttl, and with it every lease that this worker holds.
redis.call('ZADD', WORKERS, digits(now_ms + input.ttl_ms), input.worker)
if sequence == input.sequence then
  return reply(leased_before(leases_key, whole(before[2]) or 1, whole(before[3]) or 0), 0, spares)
end
-- By KEYS, for a function of Lua 5.1 knows no more than 60 locals of those around it.
for _, host in ipairs(input.opened) do first_use('set', 'SADD', string.gsub(KEYS[1], 'meta$', 'inside'), host) end
local known = take_found(input.found)
take_refused(input.refused)
take_news(leases_key)
local completed = complete(leases_key, spares)
settle(leases_key, spares)
reap(1) -- 5.
save_places()
local leased, first, last, suspect = lease_more(leases_key, input.want, spares)
save_hosts()
redis.call('HSET', worker_key, 'sequence', input.sequence, 'first', digits(first), 'last', digits(last),
           'done', digits((whole(before[4]) or 0) + completed), 'spares', table.concat(spares_left(spares), ' '))
if suspect then redis.call('HSET', worker_key, 'suspect', digits(suspect)) end
redis.call(input.idle and 'SREM' or 'SADD', BUSY, input.worker)
redis.call(last - first + 1 < input.want and 'SADD' or 'SREM', HUNGRY, input.worker)
purge(16)
return reply(leased, known, spares)
