-- let_go: a worker's loop has been blocked for too long. Its leases go back to the front of their queues, no
-- attempt counted, but for the page that blocks it: that is tried again behind the rest of its host, or ends
-- among the dead letters.
--
-- input.worker        its name; one that was taken for dead already changes nothing
-- input.lease         the page that blocks it; 0: none of its pages does
-- input.reason        what to say of it
-- input.max_attempts  as for `exchange`
--
-- Returns 1 if the worker was there.

local alive_until_ms = redis.call('ZSCORE', WORKERS, input.worker)
if not alive_until_ms or tonumber(alive_until_ms) <= now_ms then return 0 end
local leases_key = sound(base .. ':leases:' .. input.worker, 'hash')
local worker_key = base .. ':worker:' .. input.worker
local spares = read_spares(first_use('hash', 'HGET', worker_key, 'spares'))
local field = digits(input.lease)
local record = redis.call('HGET', leases_key, field)
if record then
  redis.call('HDEL', leases_key, field)
  take_back({ input.lease }, { record }, spares, function(id, host, text)
    local lease = request_of(text, host)
    visited(host, id, now_us)
    exonerate(lease.payload)
    fail(lease, input.reason, false)
  end)
  redis.call('HSET', worker_key, 'spares', table.concat(spares_left(spares), ' '))
end
remove_worker(input.worker, 'left')
count('reaped', 1)
save_hosts()
save_counters()
return 1
