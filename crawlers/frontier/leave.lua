-- leave: a worker ends in order. What it still holds goes back to the queues, not counted as an attempt.
--
-- input.worker   its name; one that was reaped already changes nothing
-- input.persist  true: keep what was seen after the crawl has finished
--
-- Returns -1 while it holds more: call it again. Then 1 if this was the last worker of a finished crawl, whose memory
-- `purge` may free, else 0.

local holds_more = remove_worker(input.worker, 'left')
save_hosts()
save_counters()
if holds_more then return -1 end
if redis.call('ZCARD', WORKERS) > 0 or meta.finished == 0 then return 0 end
redis.call('UNLINK', POLICY, tag .. ':mover', tag .. ':job')
if not input.persist then retire_generation() end
save_counters()
return 1
