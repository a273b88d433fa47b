-- repair_worker: what a worker holds that isn't alive goes back to the front of the queues.
--
-- input.worker  its name; nothing happens if it is alive
--
-- A lease that can't be read goes among the dead letters. Returns how many it held.

if redis.call('ZSCORE', WORKERS, input.worker) then return 0 end
local held = redis.call('HLEN', sound(base .. ':leases:' .. input.worker, 'hash'))
remove_worker(input.worker)
save_hosts()
save_counters()
return held
