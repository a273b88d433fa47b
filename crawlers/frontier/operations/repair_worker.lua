-- repair_worker: what a worker holds that isn't alive goes back to the front of the queues.
--
-- input.worker  its name; nothing happens if it is alive
--
-- A lease that can't be read goes among the dead letters. Returns {requeued, buried}.

if redis.call('ZSCORE', WORKERS, input.worker) then return { 0, 0 } end
local key, buried = base .. ':leases:' .. input.worker, 0
local held = redis.call('HGETALL', key)
for i = 1, #held, 2 do
  if not string.match(held[i + 1], '^%-?%d+ %S+ %d+ %d+ ') or not string.match(held[i], '^%d+$') then
    redis.call('HDEL', key, held[i])
    bury('', 0, 0, 'its lease could not be read', held[i + 1])
    count('leased', -1)
    buried = buried + 1
  end
end
remove_worker(input.worker)
save_hosts()
save_counters()
return { #held / 2 - buried, buried }
