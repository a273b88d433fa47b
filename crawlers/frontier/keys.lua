-- The keys of one crawl, and what of them is trusted. The client puts this file and those that scripts.py
-- names after it in front of every script. A script runs alone in Redis, so that all it does is one atomic
-- step.
--
-- KEYS[1]  {crawl}:meta. Every other key is derived from it and shares its hash tag, and with it its
--          node of a Redis Cluster.
-- KEYS[2]  never exists: see keys.py
-- ARGV[1]  the script's input, one msgpack map
--
-- Units: *_us microseconds and *_ms milliseconds of Redis' own clock. A limit or delay of 0: none.

local tag = string.sub(KEYS[1], 1, -6)
local input = cmsgpack.unpack(ARGV[1])

local META = KEYS[1]               -- hash    counters, generation, run, size of the seen set; `born`: us of
                                   --         its first join, by which another frontier is told; `paused`: no
                                   --         leases are handed out; `sealed`: no links are taken;
                                   --         `scrapy_redis`: its fingerprints are in the seen set
local WORKERS = tag .. ':workers'  -- zset    worker -> ms at which it is taken for dead
local BUSY = tag .. ':busy'        -- set     workers that may still bring work of their own
local HUNGRY = tag .. ':hungry'    -- set     workers that last got less than they wanted
local POLICY = tag .. ':policy'    -- hash    host -> "delay_ms limit jitter" where it has its own; * -> terms of
                                   --         the crawl, a msgpack map
local DEAD = tag .. ':dead'        -- stream  dead letters: host, priority, attempts, reason, payload
local PURGE = tag .. ':purge'      -- hash    generation given up -> seen buckets still to be freed
--   {crawl}:policy:<worker>          hash    what a worker brings for POLICY, until it has joined
--   {crawl}:manners:<host>           string  when it may be asked, see manners.lua; goes when that has passed
--   {crawl}:robots:<origin>          string  its robots.txt; {crawl}:robots_kept and :robots_sizes: see robots.lua
--   {crawl}:job                      string  what the first worker of the run was started with, msgpack
--   {crawl}:cookies                  hash    jar and site -> its cookies, a msgpack map; see cookies.lua
--   {crawl}:cookie_sites             zset    the same -> ms of their last change
--   {crawl}:inside                   set     hosts of starts that lie inside, where requests may go therefore
--   {crawl}:mover                    string  the worker that moves chunks, see plan.lua
--   {crawl}:returned                 zset    name in MongoDB -> ms since when it isn't needed
-- Of one generation, which ends when its crawl is cleared:
local base                         --         {crawl}:<generation>
local HOSTS                        -- hash    host -> its work, see hosts.lua
local READY                        -- zset    host -> us from which one of its requests may start
local URGENT                       -- zset    host -> rank, of those that were found due where priorities hold
                                   --         over hosts; each host is in one of READY and URGENT
local SUSPECTS                     -- set     payloads of requests that one more dead worker would bury
local DEEP_HOSTS                   -- set     hosts with deep queues
--   <base>:pages                     hash    host -> links taken, where host_pages limits them
--   <base>:priorities:<host>         zset    priority -> its negative, of the lists that exist, where a host has
--                                            had requests of more than one
--   <base>:requests:<host>:<prio>    list    "attempts payload", the oldest first; of a deep queue its front
--   <base>:tail:<host>:<prio>        list    the same, what was pushed to a deep queue last; see deep.lua
--   <base>:deep:<host>:<prio>        list    ids of its chunks, which lie between, the first to come first
--   <base>:chunk:<id>                list    as a queue, unless it is in MongoDB
--   <base>:chunks                    hash    id -> "state name length priority host"
--   <base>:here, <base>:wanted       zsets   ids of chunks that may be moved out, and of those to be brought back
--   <base>:seen:<bucket>             set     fingerprints as integers
--   <base>:worker:<worker>           hash    sequence, first and last lease of its last reply, done; spares:
--                                            "host number host number ...", see library.lua
--   <base>:leases:<worker>           hash    lease -> "priority host leased_ms attempts payload"

local OK, FENCED = 0, 1

-- Trust -----------------------------------------------------------------------------------------------
-- A script that fails has done half of its work. So nothing is taken for what a worker wrote unless it
-- looks like it: what doesn't is set aside among the dead letters.

local odd = {} -- {what, reason}, to be buried once the counters are there

-- What fails on a key of another type, and is cheaper than TYPE.
local LENGTH = { hash = 'HLEN', set = 'SCARD', zset = 'ZCARD', list = 'LLEN', stream = 'XLEN', string = 'STRLEN' }

-- A key of another type than ours gives way: it gets a name of its own.
local function sound(key, kind)
  if type(redis.pcall(LENGTH[kind], key)) == 'number' then return key end
  local found = redis.call('TYPE', key).ok
  redis.call('RENAME', key, tag .. ':set-aside:' .. string.sub(key, #tag + 2))
  odd[#odd + 1] = { key, 'this key held a ' .. found .. ', now under ' .. tag .. ':set-aside:' }
  return key
end

-- The first use of a key in a script, which is also the test of its type: the rest of them may trust it.
local function first_use(kind, command, key, ...)
  local reply = redis.pcall(command, key, ...)
  if type(reply) == 'table' and reply.err then
    sound(key, kind)
    reply = redis.call(command, key, ...)
  end
  return reply
end

-- The whole number that `text` is, if it is one that Lua can count with and at most `most`.
local function whole(text, most)
  local number = text and #text < 17 and string.find(text, '^-?%d+$') and tonumber(text)
  return number and number <= (most or 2 ^ 52) and number
end

-- The same for what is known to be digits; what can't be a number of ours is 0.
local function number_of(text)
  local number = #text < 17 and tonumber(text) or 0
  return number <= 2 ^ 52 and number or 0
end

local function enter(generation)
  base = tag .. ':' .. generation
  HOSTS = sound(base .. ':hosts', 'hash')
  READY = sound(base .. ':ready', 'zset')
  URGENT = sound(base .. ':urgent', 'zset')
  SUSPECTS = sound(base .. ':suspects', 'set')
  DEEP_HOSTS = base .. ':deep_hosts' -- its type is looked at where it is used, for few scripts do
end
sound(WORKERS, 'zset')
sound(BUSY, 'set')
sound(HUNGRY, 'set')
sound(DEAD, 'stream')

