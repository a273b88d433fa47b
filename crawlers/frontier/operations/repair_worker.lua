-- repair_worker: what a worker holds that isn't alive goes back to the front of the queues.
--
-- input.worker  its name; nothing happens if it is alive
--
-- A lease that can't be read goes among the dead letters. Returns how many went; call it again until that is 0.

if redis.call('ZSCORE', WORKERS, input.worker) then return 0 end
local before = left_to_take_back
remove_worker(input.worker, 'left')
save_hosts()
save_counters()
return before - left_to_take_back
