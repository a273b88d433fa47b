-- How often a host may be asked, and why; put behind counters.lua. It outlives a crawl's queues, so that
-- neither a new run nor a flush asks a host too soon.
--
-- A host's gap is the time from the start of one request to the start of the next, over all workers. It is
-- the largest of what the settings, robots.txt and (AUTOTHROTTLE_ENABLED) the host's own latency ask for.

local MOST_TERM = 2 ^ 40
local REMEMBERED_US = 3600 * 1000000 -- of a host with nothing to wait for: its failures and its latency

-- What the last worker to join was set to, by the names of model.py. What is missing or no number is 0.
local TERMS = { 'delay_ms', 'limit', 'jitter', 'robots', 'start_ms', 'back_off_ms', 'back_off_max_ms',
                'strikes', 'rest_ms', 'rests', 'throttle', 'throttle_start_ms', 'throttle_max_ms', 'host_pages',
                'strict', 'chunk', 'crawl_delay_max_ms' }

local function read_terms()
  local packed = first_use('hash', 'HGET', POLICY, '*')
  local ok, found = pcall(cmsgpack.unpack, packed or '')
  if not packed or not ok or type(found) ~= 'table' then found = {} end
  for i = 1, #TERMS do
    local value = found[TERMS[i]]
    if type(value) ~= 'number' or value < 0 or value > MOST_TERM then found[TERMS[i]] = 0 end
  end
  return found
end

local terms = read_terms()
local own_policies -- whether any host has a policy of its own; read once

local function policy_of(name)
  if own_policies == nil then own_policies = redis.call('HLEN', POLICY) > 1 end
  if not own_policies then return terms.delay_ms, terms.limit, terms.jitter end
  -- A host's key may have the name of a proxy behind a |, whose settings are the host's.
  local own = redis.call('HGET', POLICY, string.match(name, '^[^|]*')) or ''
  local delay_ms, limit, jitter = string.match(own, '^(%d+) (%d+) (%d+)$')
  return whole(delay_ms, MOST_TERM) or terms.delay_ms, whole(limit) or terms.limit,
         whole(jitter) or terms.jitter
end

-- Chance is Redis' own, and the same in each script unless it is seeded.
local seeded = false
local function chance(from, to)
  if not seeded then math.randomseed(now_us % 2 ^ 31) end
  seeded = true
  return from + (to - from) * math.random()
end

-- What its robots.txt asks for, as far as the crawl follows it.
local function robots_delay_ms(host)
  if terms.crawl_delay_max_ms > 0 then return math.min(host.robots_ms, terms.crawl_delay_max_ms) end
  return host.robots_ms
end

-- The time from one start to the next. Jitter is for what the user has set, not for what a host asks for.
local function gap_us(host)
  local wanted_ms = host.delay_ms
  if terms.throttle > 0 then
    local found_ms = host.throttle_ms > 0 and host.throttle_ms or terms.throttle_start_ms
    wanted_ms = math.max(wanted_ms, found_ms)
  end
  if wanted_ms > 0 and host.jitter > 0 then
    wanted_ms = math.max(0, wanted_ms * (1 + chance(-host.jitter, host.jitter) / 100))
  end
  return math.ceil(math.max(wanted_ms, robots_delay_ms(host)) * 1000)
end

-- It takes time from one start to the next.
local function is_timed(host)
  return host.delay_ms > 0 or host.robots_ms > 0 or terms.throttle > 0
end

local function manners_key(name)
  return tag .. ':manners:' .. name
end

-- {crawl}:manners:<host> holds next_us, robots_us, robots_ms, throttle_ms, strikes, rests, wake_us and why, or
-- robots_us alone where nothing else is known.
local MANNERS = '^(%d+) (%d+) (%d+) (%d+) (%d+) (%d+) (%d+) (.*)$'

local function read_manners(host, record)
  if string.find(record, '^%d+$') then
    host.robots_us = number_of(record)
    return
  end
  local next_us, robots_us, robots_ms, throttle_ms, strikes, rests, wake_us, why = string.match(record, MANNERS)
  if not next_us then return end
  host.next_us, host.robots_us, host.wake_us = number_of(next_us), number_of(robots_us), number_of(wake_us)
  host.throttle_ms, host.strikes, host.rests = number_of(throttle_ms), number_of(strikes), number_of(rests)
  host.robots_ms, host.why = host.robots_us > now_us and number_of(robots_ms) or 0, why
end

-- Redis' clock went back: its next moment is no further ahead than it could be by the clock of now.
local function bound_next(host)
  local wanted_ms = math.max(host.delay_ms * (1 + host.jitter / 100), host.robots_ms)
  if terms.throttle > 0 then wanted_ms = math.max(wanted_ms, host.throttle_ms, terms.throttle_start_ms) end
  host.next_us = math.min(host.next_us, now_us + math.ceil(wanted_ms * 1000))
end

-- Adds to `host` what its record says; false: there is none.
local function add_manners(host, record)
  host.delay_ms, host.limit, host.jitter = policy_of(host.name)
  if record then read_manners(host, record) end
  host.timed = is_timed(host)
  if meta.ahead_us > now_us then bound_next(host) end
  -- Redis came back, and may have forgotten when it was asked.
  if host.timed and meta.back_us > 0 and meta.back_us <= now_us then
    local delay_ms = math.max(host.delay_ms, robots_delay_ms(host), host.throttle_ms)
    host.next_us = math.max(host.next_us, meta.back_us + delay_ms * 1000)
  end
end

local function manners_of(host)
  local is_known = host.robots_ms > 0 or host.throttle_ms > 0 or host.strikes > 0 or host.rests > 0
  if not is_known and host.next_us <= now_us and host.wake_us <= now_us then return digits(host.robots_us) end
  return string.format('%d %d %d %d %d %d %d ', host.next_us, host.robots_us, host.robots_ms, host.throttle_ms,
                       host.strikes, host.rests, host.wake_us) .. host.why
end

local function save_manners(host)
  local key = manners_key(host.name)
  local until_us = math.max(host.next_us, host.wake_us, host.robots_us)
  if host.strikes > 0 or host.rests > 0 or host.throttle_ms > 0 then
    until_us = math.max(until_us, now_us + REMEMBERED_US)
  end
  if until_us <= now_us then return redis.call('DEL', key) end
  -- GET makes it fail, rather than replace it, where the key holds anything else than a string.
  return first_use('string', 'SET', key, manners_of(host), 'PX', digits(math.ceil((until_us - now_us) / 1000)), 'GET')
end

-- The moment from which `host` may be asked again.
local function free_us(host)
  return host.next_us > host.wake_us and host.next_us or host.wake_us
end

-- Nobody knows its robots.txt, so that one page at a time goes there until somebody does.
local function is_unknown(host)
  return terms.robots == 1 and host.robots_us <= now_us
end

-- Whoever asks for it to be tried again forgives it all.
local function forgive(host)
  host.strikes, host.rests, host.wake_us, host.why, host.told = 0, 0, 0, '', true
end
