-- Which requests a worker gets, put between news.lua and exchange.lua.

-- A lease's flags, added up. TIMED: say when it goes to its site. SCOUT: so too, and nobody knows the
-- robots.txt of its host, find it out first. WATCHED: its host has failed, or its latency counts; say how it
-- answers.
local TIMED, SCOUT, WATCHED = 1, 2, 4

-- While others go hungry, a worker that holds more than the mean of all gets no more. Otherwise the first
-- to come keeps all slots of a host, for each page that it completes frees one in that very exchange.
local function fair_room(host, room, held)
  if not held.others then
    held.others = redis.call('SCARD', HUNGRY) - redis.call('SISMEMBER', HUNGRY, input.worker)
    held.workers = redis.call('ZCARD', WORKERS)
  end
  if held.others == 0 then return room end
  if not held.due then
    held.due = redis.call('ZCOUNT', READY, '-inf', digits(now_us + turn)) + redis.call('ZCARD', URGENT)
  end
  -- What could be leased now, were all hosts that are due like this one.
  local slots = host.timed and 1 or free_slots(host)
  local free = math.min(meta.queued, slots * held.due)
  return math.min(room, math.ceil((meta.leased + held.more + free) / held.workers) - held.before - held.more)
end

local function holds_suspect(leases_key)
  for _, record in ipairs(redis.call('HVALS', leases_key)) do
    if is_suspect(string.match(record, '^%S+ %S+ %d+ %d+ (.*)$') or '') then return true end
  end
  return false
end

-- Of what was taken off the queues of `host`: all up to the second suspect that this worker would hold.
local function keep_one_suspect(host, taken, held)
  if not are_suspects() then return taken end
  for i, request in ipairs(taken) do
    local _, payload = parts_of(request[2])
    if is_suspect(payload) then
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

-- A host that was set aside too often is given up, some of its pages at a time.
local MOST_GIVEN_UP = 100
local function give_up(host)
  for _, request in ipairs(pop(host, MOST_GIVEN_UP)) do
    local attempts, payload = parts_of(request[2])
    bury(host.name, request[1], attempts, host.why, payload)
  end
  moved(host)
end

-- How many requests of `host` this worker gets now.
local function room_for(host, share, held)
  if not is_free(host) then return 0 end
  if terms.rests > 0 and host.rests > terms.rests then
    give_up(host)
    return 0
  end
  local room = math.min(share, free_slots(host))
  if host.timed then room = math.min(room, 1, input.slots - held.more) end
  return fair_room(host, room, held)
end

local function flags_of(host)
  local is_watched = terms.throttle > 0 or host.strikes > 0 or host.rests > 0
  return (host.timed and TIMED or 0) + (is_unknown(host) and SCOUT or 0) + (is_watched and WATCHED or 0)
end

local function serve(host, share, held)
  local room = room_for(host, share, held)
  local taken = room > 0 and keep_one_suspect(host, pop(host, room, terms.strict == 1), held) or {}
  if #taken == 0 then return taken end
  take_turn(host, held.last + held.more + 1)
  host.active = host.active + #taken
  held.more = held.more + #taken
  return taken
end

-- The hosts that are next: up to `most` that are due, in the order of their moments, or the most urgent one.
local to_rank = 1000 -- at first, and then those that were served and a few more
local function next_hosts(most)
  if terms.strict == 0 then
    return redis.call('ZRANGE', READY, '-inf', digits(now_us + turn), 'BYSCORE', 'LIMIT', 0, most)
  end
  find_urgent(to_rank)
  to_rank = 8
  return redis.call('ZRANGE', URGENT, 0, 0)
end

-- Leases. The hosts that are next share what is wanted. Returns lease, record, flags of each in one row.
local function lease_more(leases_key, want)
  if meta.paused == 1 then want = 0 end
  local leased, records, leased_ms = {}, {}, ' ' .. digits(now_ms) .. ' '
  local held = { key = leases_key, before = redis.call('HLEN', leases_key), more = 0, last = meta.last_lease }
  repeat
    local rest, before = want - held.more, held.more
    local due = rest > 0 and next_hosts(rest) or {}
    local share = math.floor(rest / #due)
    held.due = nil
    read_hosts(due)
    for _, name in ipairs(due) do
      local host = host_of(name)
      local flags = flags_of(host)
      for _, request in ipairs(serve(host, share, held)) do
        local at, record = #records + 1, request[1] .. ' ' .. name .. leased_ms .. request[2]
        local id = held.last + (at + 1) / 2
        records[at], records[at + 1] = digits(id), record
        leased[#leased + 1] = id
        leased[#leased + 1] = record
        leased[#leased + 1] = flags
      end
    end
    save_places() -- beyond a limit that was lowered a host is not ready
  until held.more >= want or held.more == before
  in_slices(records, function(...) redis.call('HSET', leases_key, ...) end)
  count('last_lease', held.more)
  count('leased', held.more)
  return leased, held.last + 1, held.last + held.more
end
