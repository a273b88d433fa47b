-- The work of each host and its place in turn; put behind manners.lua.

local hosts = {} -- those that this script has touched
local turn = 0   -- hosts served without a gap; keeps them in turn within one microsecond

local function host_of(name)
  local host = hosts[name]
  if not host then
    local work = first_use('hash', 'HMGET', base .. ':host:' .. name, 'queued', 'active', 'starting', 'start_by_us')
    host = { name = name, queued = whole(work[1]) or 0, active = whole(work[2]) or 0,
             starting = whole(work[3]) or 0, start_by_us = whole(work[4]) or 0 }
    add_manners(host)
    hosts[name] = host
  end
  host.touched = true
  return host
end

local function free_slots(host)
  if is_unknown(host) then return host.active == 0 and 1 or 0 end
  if host.limit == 0 then return math.huge end
  return host.limit - host.active
end

-- Who calls has changed when `host` may be asked.
local function moved(host)
  host.touched, host.has_moved = true, true
end

local function save_work(host)
  local key = base .. ':host:' .. host.name
  if host.queued == 0 and host.active == 0 then
    redis.call('DEL', key)
  else
    redis.call('HSET', key, 'queued', host.queued, 'active', host.active, 'starting', digits(host.starting),
               'start_by_us', digits(host.start_by_us))
  end
end

local function save_host(host)
  save_work(host)
  if terms.strict == 1 then redis.call('ZREM', URGENT, host.name) end
  if host.has_moved and (host.timed or host.told) then save_manners(host) end
  if host.queued == 0 or free_slots(host) <= 0 then
    redis.call('ZREM', READY, host.name)
  elseif host.has_moved then
    redis.call('ZADD', READY, digits(host.ask_us or free_us(host)), host.name)
  else -- keeps its place in turn where it has one
    redis.call('ZADD', READY, 'NX', digits(math.max(free_us(host), now_us)), host.name)
  end
  host.touched, host.has_moved, host.told, host.ask_us = false, false, false, nil
end

local function save_hosts()
  for _, host in pairs(hosts) do
    if host.touched then save_host(host) end
  end
end

-- Where priorities hold over hosts, up to `most` that are due move from READY to URGENT: the highest priority
-- first, then by the second. A change of a host takes it back to READY, so that its rank is always of now.
local SECONDS = 2 ^ 22
local function find_urgent(most)
  for _, name in ipairs(redis.call('ZRANGE', READY, '-inf', digits(now_us + turn), 'BYSCORE', 'LIMIT', 0, most)) do
    local top = whole(first_use('zset', 'ZRANGE', base .. ':priorities:' .. name, 0, 0)[1]) or 0
    redis.call('ZADD', URGENT, digits(-top * SECONDS + math.floor(now_ms / 1000) % SECONDS), name)
    redis.call('ZREM', READY, name)
  end
end

-- The turn of `host` is taken: `lease` may go there, once, before start_by_us.
local function take_turn(host, lease)
  turn = turn + 1
  host.next_us = now_us + gap_us(host) + turn
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
