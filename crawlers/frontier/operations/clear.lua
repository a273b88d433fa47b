-- clear: gives up all that is queued, seen, leased and dead. Called until it returns 0.
--
-- input.most  workers to fence in one call
--
-- Workers that come back meanwhile are given nothing, or there would be no end. Returns 1 while there are
-- leases to be taken back, else 0: then the crawl is as new, and memory is for `purge` to free.

redis.call('HSET', META, 'paused', 1)
local held = counters('leased')[1]
for _, worker in ipairs(redis.call('ZRANGE', WORKERS, 0, input.most - 1)) do remove_worker(worker) end
save_hosts()
save_counters()
local left = counters('leased')[1]
if left > 0 and left < held then return 1 end

for _, worker in ipairs(redis.call('ZRANGE', WORKERS, 0, -1)) do remove_worker(worker) end
retire_generation()
redis.call('UNLINK', DEAD, BUSY, HUNGRY)
redis.call('HDEL', META, 'enqueued', 'done', 'queued', 'leased', 'dead', 'dropped', 'reaped', 'paused',
           'sealed', 'over_budget')
-- Whoever joins next starts a new run. Workers that come back notice by its number.
redis.call('HSET', META, 'finished', 1, 'finished_ms', digits(now_ms))
return 0
