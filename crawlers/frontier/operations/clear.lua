-- clear: gives up all that is queued, seen, leased and dead. Called until it returns 0.
--
-- input.most  workers to fence in one call
--
-- Workers that come back meanwhile are given nothing, or there would be no end. Returns 1 while there are
-- leases to be taken back, else 0: then the crawl is as new, and memory is for `purge` to free.

meta.paused = 1
local held = meta.leased
for _, worker in ipairs(redis.call('ZRANGE', WORKERS, 0, input.most - 1)) do
  if remove_worker(worker, 'left') then break end
end
save_hosts()
save_counters()
if meta.leased > 0 and meta.leased < held then return 1 end

for _, worker in ipairs(redis.call('ZRANGE', WORKERS, 0, -1)) do remove_worker(worker, 'left') end
retire_generation()
redis.call('UNLINK', DEAD, BUSY, HUNGRY, tag .. ':inside')
for _, name in ipairs(OF_A_RUN) do meta[name] = 0 end
meta.paused = 0
meta.sealed = 0
-- Whoever joins next starts a new run. Workers that come back notice by its number.
meta.finished = 1
redis.call('HSET', META, 'finished_ms', digits(now_ms))
save_counters()
return 0
