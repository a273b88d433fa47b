-- park: requests that this worker can't run, and a newer one may: of a callback or a class that it hasn't, in a form
-- that it doesn't know. They wait for a moment, and then go back to the front of their queues, no attempt counted,
-- again and again, until somebody runs them or it has taken too long.
--
-- input.worker   its name
-- input.unknown  {lease, reason}, ...
-- input.wait_ms  how long after it was first parked a request ends among the dead letters
--
-- Those that wait are leases of a worker that nobody is: so they count as leased, no crawl ends without them, and when
-- its time runs out it is taken back as any other. They take no slots of their hosts: all are spares.
--
-- Returns how many ended among the dead letters.

local PAUSE_MS = 10000 -- short for who waits for a new worker, long beside the ms that a lease costs
local PARKED = base .. ':parked' -- zset: payload -> ms when it was first parked; goes when nothing was for long

local worker_key = base .. ':worker:' .. input.worker
if not redis.call('ZSCORE', WORKERS, input.worker) or redis.call('HEXISTS', worker_key, 'ended') == 1 then return 0 end
local leases_key = sound(base .. ':leases:' .. input.worker, 'hash')
local spares = read_spares(first_use('hash', 'HGET', worker_key, 'spares'))
local slot = math.floor(now_ms / PAUSE_MS) -- a new one every so often, or one would come back as fast as it grows
local nobody = 'waits-for-a-newer-worker:' .. digits(slot)
local nobody_key, waiting_key = base .. ':worker:' .. nobody, base .. ':leases:' .. nobody
local waiting = read_spares(first_use('hash', 'HGET', nobody_key, 'spares'))
local dead, parked = 0, 0

local function park(id, host, record, reason)
  local lease = request_of(record, host)
  first_use('zset', 'ZADD', PARKED, 'NX', digits(now_ms), lease.payload)
  if now_ms - redis.call('ZSCORE', PARKED, lease.payload) >= input.wait_ms then
    redis.call('ZREM', PARKED, lease.payload)
    exonerate(lease.payload)
    dead = dead + 1
    return fail(lease, reason, true)
  end
  redis.call('HSET', waiting_key, digits(id), record)
  add_spares(waiting, host.name, 1)
  meta.leased = meta.leased + 1
  parked = parked + 1
end

for _, entry in ipairs(input.unknown) do
  local field = digits(entry[1])
  local record = redis.call('HGET', leases_key, field)
  if record then
    redis.call('HDEL', leases_key, field)
    take_back({ entry[1] }, { record }, spares, function(id, host, text) park(id, host, text, entry[2]) end)
  end
end
redis.call('HSET', worker_key, 'spares', table.concat(spares_left(spares), ' '))
if parked > 0 then
  redis.call('HSET', nobody_key, 'ended', 'left', 'spares', table.concat(spares_left(waiting), ' '))
  redis.call('ZADD', WORKERS, digits((slot + 2) * PAUSE_MS), nobody)
end
redis.call('PEXPIRE', PARKED, digits(2 * input.wait_ms + 2 * PAUSE_MS))
save_hosts()
save_counters()
return dead
