-- join: a worker enters the crawl under a new name, and with the first one a finished crawl starts anew.
--
-- input.worker        a name never used before
-- input.ttl_ms        how long it is taken for alive without an exchange
-- input.max_attempts  as for `exchange`
-- input.persist       true: a finished crawl keeps what it has seen for its next run
-- input.flush         true: drop what is queued and seen, unless other workers are at it
-- input.run           the run at which it was taken for dead, 0 for a new worker; one that comes back
--                     after its run has finished does not start the next
-- input.terms         how polite the whole crawl is from now on, see manners.lua
-- input.policy        the key of a hash, host -> "delay_ms limit jitter", of hosts that differ; '': none does
--
-- Returns {-1} while there are leases of dead workers to be taken back, or the policy isn't there: bring that, and
-- call it again. Then
-- {run, workers, queued, seen, over, born, generation, age_ms}:
-- which run of the crawl this is, counted from 1; the workers
-- that were alive already; what is queued and seen from before; 1 if that run has finished;
-- which frontier and generation it is; for how long the run has been under way.

local has_more = reap(20)
save_hosts()
if has_more or (input.policy ~= '' and redis.call('EXISTS', input.policy) == 0) then
  save_counters()
  return { -1 }
end

local alive = redis.call('ZCARD', WORKERS)
local over = meta.finished == 1 and input.run > 0 and meta.run == input.run
local finished = meta.finished == 1 and not over
local new, anew = meta.generation == 0, (finished and not input.persist) or (input.flush and alive == 0)
if new then meta.generation = 1 end
if meta.born == 0 then meta.born = now_us end
if anew then
  -- Workers of the finished run that are still closing hold nothing any more.
  for _, worker in ipairs(redis.call('ZRANGE', WORKERS, 0, -1)) do remove_worker(worker, 'left') end
  retire_generation()
  redis.call('UNLINK', DEAD, BUSY, HUNGRY, tag .. ':inside')
  for _, name in ipairs(OF_A_RUN) do meta[name] = 0 end
  new = true
end
if new or finished then
  forget_cookies()
  count('run', 1)
  meta.finished = 0
  meta.sealed = 0
  redis.call('HSET', META, 'started_ms', digits(now_ms))
end

choose_seen(input.terms.seen_small == 1)

redis.call('ZADD', WORKERS, digits(now_ms + input.ttl_ms), input.worker)
redis.call('HSET', base .. ':worker:' .. input.worker, 'sequence', 0, 'joined_ms', digits(now_ms),
           'ttl_ms', input.ttl_ms)
if not over then redis.call('SADD', BUSY, input.worker) end
redis.call('UNLINK', POLICY)
if input.policy ~= '' then
  redis.call('RENAME', input.policy, POLICY)
  redis.call('PERSIST', POLICY)
end
redis.call('HSET', POLICY, '*', cmsgpack.pack(input.terms))

save_counters()
local age_ms = now_ms - (whole(redis.call('HGET', META, 'started_ms')) or now_ms)
return { meta.run, alive, meta.queued, meta.seen, over and 1 or 0, meta.born, meta.generation, age_ms }
