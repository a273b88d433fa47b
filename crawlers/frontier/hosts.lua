-- The work of each host and its place in turn; put behind manners.lua.

local hosts = {} -- those that this script has read
local changed = {} -- those of them whose place in turn may be another now
local turn = 0   -- hosts served without a gap; keeps them in turn within one microsecond

-- HOSTS holds "active only starting start_by_us deep" of each host that has something to do, "active only" where
-- there is no more. `only`: the priority of all that is queued; '*': there may be several, of which
-- <base>:priorities:<host> knows; '-': nothing is queued. Of a host with a gap `starting` is the lease that has its
-- turn and of which it isn't known yet when it went there, 0: none. `deep`: its deep queues, see deep.lua. How much
-- is queued only the queues know, so that a link joins one without a look at its host.
local WORK, MORE_WORK = '^(-?%d+) (%S+) ?(.*)$', '^(%d+) (%d+) ?(%S*)$'
local function read_more(host, more)
  local starting, start_by_us, deep = string.match(more, MORE_WORK)
  if not starting then return end
  host.starting, host.deep = number_of(starting), deep
  -- No later than it could be, also where Redis' clock went back.
  host.start_by_us = math.min(number_of(start_by_us), now_us + terms.start_ms * 1000)
end

local function work_of(host)
  local work = host.active .. ' ' .. host.only
  if host.starting == 0 and host.deep == '' then return work end
  return string.format('%s %d %d %s', work, host.starting, host.start_by_us, host.deep)
end

local function add_host(name, work, manners)
  -- All fields at once, for a table that grows with them takes longer.
  local host = { name = name, active = 0, only = '-', starting = 0, start_by_us = 0, deep = '',
                 next_us = 0, robots_us = 0, robots_ms = 0, throttle_ms = 0, strikes = 0, rests = 0, wake_us = 0,
                 why = '', delay_ms = 0, limit = 0, jitter = 0, timed = false,
                 touched = false, worked = false, has_moved = false, told = false, is_told = false }
  if work then
    local active, only, more = string.match(work, WORK)
    if active then
      host.active = number_of(active)
      if only == '0' or only == '*' or whole(only) then host.only = only end
      if more ~= '' then read_more(host, more) end
    end
  end
  add_manners(host, manners)
  hosts[name] = host
end

-- Reads many hosts at once.
local function read_hosts(names)
  local new, keys, known = {}, {}, {}
  for _, name in ipairs(names) do
    if not hosts[name] and not known[name] then
      known[name], new[#new + 1], keys[#keys + 1] = true, name, manners_key(name)
    end
  end
  for first = 1, #new, 1000 do
    local last = math.min(first + 999, #new)
    local work = redis.call('HMGET', HOSTS, unpack(new, first, last))
    local manners = redis.call('MGET', unpack(keys, first, last))
    for i = first, last do add_host(new[i], work[i - first + 1], manners[i - first + 1]) end
  end
end

local function touch(host)
  if not host.touched then changed[#changed + 1] = host end
  host.touched, host.worked = true, true
end

-- The host `name`, which whoever calls will change.
local function host_of(name)
  if not hosts[name] then read_hosts({ name }) end
  local host = hosts[name]
  touch(host)
  return host
end

local function free_slots(host)
  if is_unknown(host) then return host.active == 0 and 1 or 0 end
  if host.limit == 0 then return math.huge end
  return host.limit - host.active
end

-- Who calls has changed when `host` may be asked.
local function moved(host)
  touch(host)
  host.has_moved = true
end

-- Gives each host that was touched its place in READY, or takes it out.
local function save_places()
  local placed, new, gone = {}, {}, {}
  for _, host in ipairs(changed) do
    local name, free = host.name, free_us(host)
    if host.only == '-' or free_slots(host) <= 0 then
      gone[#gone + 1] = name
    elseif host.has_moved then
      placed[#placed + 1] = host.ask_us or free
      placed[#placed + 1] = name
    else -- keeps its place in turn where it has one
      new[#new + 1] = free > now_us and free or now_us
      new[#new + 1] = name
    end
    host.is_told = host.is_told or (host.has_moved and (host.timed or host.told))
    host.touched, host.has_moved, host.told, host.ask_us = false, false, false, nil
    if terms.strict == 1 then redis.call('ZREM', URGENT, name) end
  end
  changed = {}
  in_slices(gone, function(...) redis.call('ZREM', READY, ...) end)
  in_slices(placed, function(...) redis.call('ZADD', READY, ...) end)
  in_slices(new, function(...) redis.call('ZADD', READY, 'NX', ...) end)
end

local function save_hosts()
  save_places()
  local there, gone = {}, {}
  for name, host in pairs(hosts) do
    if host.worked and host.only == '-' and host.active == 0 then
      gone[#gone + 1] = name
    elseif host.worked then
      there[#there + 1] = name
      there[#there + 1] = work_of(host)
    end
    if host.is_told then save_manners(host) end
    host.worked, host.is_told = false, false
  end
  in_slices(gone, function(...) redis.call('HDEL', HOSTS, ...) end)
  in_slices(there, function(...) redis.call('HSET', HOSTS, ...) end)
end

-- What is done where the clock has stepped is in `meta`, for a function of Lua 5.1 knows no more than 60 locals.

-- Hosts have their places by what the clock was before it went back: some of them get their places of now.
local MOST_PUT_BACK = 64
function meta.put_back_some()
  local future, number = '(' .. digits(now_us), redis.call('ZCOUNT', READY, '(' .. digits(now_us), '+inf')
  local first = math.floor(chance(0, math.max(0, number - MOST_PUT_BACK + 1)))
  local names = redis.call('ZRANGE', READY, future, '+inf', 'BYSCORE', 'LIMIT', first, MOST_PUT_BACK)
  read_hosts(names)
  for _, name in ipairs(names) do moved(host_of(name)) end
  save_places()
end

-- The highest priority of what is queued, nil for none.
local function top_priority(host)
  if host.only ~= '*' then return host.only ~= '-' and host.only or nil end
  local key = base .. ':priorities:' .. host.name
  local top = first_use('zset', 'ZRANGE', key, 0, 0)[1]
  while top and not whole(top) do
    redis.call('ZREM', key, top)
    top = redis.call('ZRANGE', key, 0, 0)[1]
  end
  return top
end

-- Where priorities hold over hosts, up to `most` that are due move from READY to URGENT: the highest priority
-- first, then by the second. A change of a host takes it back to READY, so that its rank is always of now.
local SECONDS = 2 ^ 22
local function find_urgent(most)
  local due = redis.call('ZRANGE', READY, '-inf', digits(now_us + turn), 'BYSCORE', 'LIMIT', 0, most)
  local ranks = {}
  read_hosts(due)
  for _, name in ipairs(due) do
    local top = top_priority(hosts[name]) or 0
    ranks[#ranks + 1] = digits(-top * SECONDS + math.floor(now_ms / 1000) % SECONDS)
    ranks[#ranks + 1] = name
  end
  in_slices(ranks, function(...) redis.call('ZADD', URGENT, ...) end)
  in_slices(due, function(...) redis.call('ZREM', READY, ...) end)
end

-- The turn of `host` is taken: `lease` may go there, once, before start_by_us.
local function take_turn(host, lease)
  turn = turn + 1
  host.next_us = now_us + (host.timed and gap_us(host) or 0) + turn
  if host.timed or is_unknown(host) then host.starting, host.start_by_us = lease, now_us + terms.start_ms * 1000 end
  moved(host)
end

-- A lease of `host` went to its site at_us: from then on counts the gap, and what may pass until its bytes are
-- out. Eight workers on two cores were up to 5 ms late with that.
local OUT_US = 3000
local function visited(host, lease, at_us)
  if host.starting == lease then host.starting = 0 end
  host.next_us = math.max(host.next_us, at_us + gap_us(host) + (host.timed and OUT_US or 0))
  moved(host)
end

-- A lease of `host` has ended. Where its turn wasn't used, another may have it.
local function end_turn(host, lease)
  if host.starting ~= 0 and host.starting == lease then
    host.starting, host.next_us = 0, math.min(host.next_us, now_us)
    moved(host)
  end
end

-- How soon a host that has its turn out is looked at again; the worker that has it tells in about so long.
local ASK_AGAIN_US = 4000

-- Whether `host` may be asked now. A turn that was taken and of which nothing more is heard was used at its
-- last moment at the latest, for after it no worker starts.
local function is_free(host)
  if host.starting ~= 0 then
    if now_us < host.start_by_us then
      moved(host)
      host.ask_us = math.max(free_us(host), now_us + ASK_AGAIN_US)
      return false
    end
    visited(host, host.starting, host.start_by_us)
  end
  if free_us(host) <= now_us + turn then return true end
  moved(host)
  return false
end
