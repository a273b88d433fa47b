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
  local slots_taken = meta.leased - meta.spares + held.more
  return math.min(room, math.ceil((slots_taken + free) / held.workers) - held.before - held.more)
end

local function holds_suspect(leases_key)
  local lease = redis.call('HGET', base .. ':worker:' .. input.worker, 'suspect')
  return lease and redis.call('HEXISTS', leases_key, lease) == 1
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
      held.suspect = held.last + held.more + i
    end
  end
  return taken
end

-- A host that was set aside too often is given up, some of its pages at a time.
local left_to_give_up = 100
local function give_up(host)
  moved(host)
  for _, request in ipairs(pop(host, left_to_give_up)) do
    local attempts, payload = parts_of(request[2])
    bury(host.name, request[1], attempts, host.why, payload)
    left_to_give_up = left_to_give_up - 1
  end
  if left_to_give_up == 0 then host.ask_us = now_us + ASK_AGAIN_US end -- others first
end

-- How many requests of `host` this worker gets now.
local function room_for(host, held)
  if not is_free(host) then return 0 end
  if terms.rests > 0 and host.rests > terms.rests then
    give_up(host)
    return 0
  end
  local share = host.strikes > 0 and held.share_in_trouble or held.share
  local room = math.min(share, free_slots(host))
  if host.timed then room = math.min(room, 1, input.slots - held.more) end
  return fair_room(host, room, held)
end

local function flags_of(host)
  local is_watched = terms.throttle > 0 or host.strikes > 0 or host.rests > 0
  return (host.timed and TIMED or 0) + (is_unknown(host) and SCOUT or 0) + (is_watched and WATCHED or 0)
end

-- Up to `room` requests of `host` become leases. Returns how many.
local function hand_out(host, room, held)
  local flags, leased, records = flags_of(host), held.leased, held.records
  local taken = keep_one_suspect(host, pop(host, room, terms.strict == 1), held)
  for _, request in ipairs(taken) do
    held.more = held.more + 1
    local id, record = held.last + held.more, request[1] .. ' ' .. host.name .. held.leased_ms .. request[2]
    records[#records + 1] = id
    records[#records + 1] = record
    leased[#leased + 1] = id
    leased[#leased + 1] = record
    leased[#leased + 1] = flags
  end
  return #taken
end

local function serve(host, held)
  local room = room_for(host, held)
  local first, number = held.last + held.more + 1, room > 0 and hand_out(host, room, held) or 0
  if number == 0 then return end
  take_turn(host, first)
  host.active = host.active + number
  held.slots[host.name] = (held.slots[host.name] or 0) + number
end

-- Whether a request of `host` may follow another at once.
local function bears_spares(host)
  return host.wake_us <= now_us and not (host.timed or is_unknown(host))
end

-- Spares for each slot: so many that they last for an exchange, and few enough that none waits long behind slow
-- pages while another worker has nothing to do. Who has all slots of a host is the only one to visit it, and hears
-- first when it asks to be left alone.
local MOST_SPARES = 4
local function lease_spares(want, held, spares)
  local full = {}
  for _, entry in ipairs(input.spares) do
    local name, slots = entry[1], entry[2] + (held.slots[entry[1]] or 0)
    local delay_ms, limit = policy_of(name)
    if slots > 0 and slots == limit and delay_ms == 0 then full[#full + 1] = name end
  end
  read_hosts(full)
  for _, name in ipairs(full) do
    local host = hosts[name]
    local room = math.min(want - held.more, MOST_SPARES * host.limit - (spares[name] or 0))
    if room > 0 and host.only ~= '-' and bears_spares(host) and host.strikes + host.rests == 0
       and fair_room(host, room, held) >= 0 then
      local number = hand_out(host_of(name), room, held)
      add_spares(spares, name, number)
      held.before = held.before - number
    end
  end
end

-- The hosts of these spares at which none may start any more, for they asked to be left alone or to be asked
-- more rarely.
local function hosts_to_spare(spares)
  local names, found = {}, {}
  for name in pairs(spares) do names[#names + 1] = name end
  read_hosts(names)
  for _, name in ipairs(names) do
    if spares[name] > 0 and not bears_spares(hosts[name]) then found[#found + 1] = name end
  end
  return found
end

-- The hosts that are next: up to `most` that are due, in the order of their moments, or the most urgent one.
local to_rank = 100 -- at first, and then the one that was served and a few more
local function next_hosts(most)
  if terms.strict == 0 then
    return redis.call('ZRANGE', READY, '-inf', digits(now_us + turn), 'BYSCORE', 'LIMIT', 0, most)
  end
  find_urgent(to_rank)
  to_rank = 2
  return redis.call('ZRANGE', URGENT, 0, 0)
end

-- So many requests of a host in a turn, where it takes no time from one to the next: what a host costs is spent
-- once for all of them. (Shreedhar and Varghese, "Efficient fair queuing using deficit round robin", 1995.)
local QUANTUM = terms.delay_ms + terms.throttle == 0 and 4 or 1

-- An exchange looks at about so many hosts at most, be they free or not: that takes some 5 ms.
local MOST_LOOKED_AT = 200

-- Leases. The hosts that are next share what is wanted; what is left of it are spares. Returns lease, record,
-- flags of each in one row, and the first and the last lease.
local function lease_more(leases_key, want, spares)
  if meta.paused == 1 then want = 0 end
  if meta.ahead_us > now_us and want > 0 then meta.put_back_some() end
  local held = { key = leases_key, before = redis.call('HLEN', leases_key), more = 0, last = meta.last_lease,
                 leased_ms = ' ' .. digits(now_ms) .. ' ', leased = {}, records = {}, slots = {} }
  for _, number in pairs(spares) do held.before = held.before - number end
  local quantum, to_look_at = QUANTUM, math.max(MOST_LOOKED_AT, 2 * want)
  repeat
    local rest, before = want - held.more, held.more
    local most = math.ceil(rest / quantum)
    local due = rest > 0 and next_hosts(most) or {}
    held.share, held.due = math.floor(rest / #due), nil
    held.share_in_trouble = #due < most and held.share or 1
    read_hosts(due)
    for _, name in ipairs(due) do serve(host_of(name), held) end
    save_places() -- beyond a limit that was lowered a host is not ready
    local looked_for = quantum
    to_look_at = to_look_at - #due
    quantum = 1 -- in the next round, for hosts that had less
  until held.more >= want or #due == 0 or to_look_at < 0 or (held.more == before and looked_for == 1)
  if held.more < want then lease_spares(want, held, spares) end
  in_slices(held.records, function(...) redis.call('HSET', leases_key, ...) end)
  count('last_lease', held.more)
  count('leased', held.more)
  return held.leased, held.last + 1, held.last + held.more, tonumber(held.suspect)
end
