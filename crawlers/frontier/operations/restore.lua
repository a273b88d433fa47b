-- restore: puts in what an export, or another queue, held.
--
-- input.queued                  {host, priority, attempts, payload}, ...
-- input.dead                    {host, priority, attempts, payload, reason, id}, ...; an id in use is replaced
-- input.seen                    fingerprints
-- input.scrapy_redis            true: the fingerprints are scrapy-redis' own
-- input.seen_small              true: they are of the small form, see seen.lua
-- input.run                     of a crawl that is new here; 0: its first
-- input.done, input.dropped     to be added to the counters
--
-- Returns how many of the fingerprints were new.

if meta.generation == 0 then
  meta.generation = 1
  meta.run = math.max(input.run, 1)
  redis.call('HSET', META, 'started_ms', digits(now_ms))
end
if input.seen_small then choose_seen(true) end
if input.scrapy_redis then redis.call('HSET', META, 'scrapy_redis', 1) end
for _, request in ipairs(input.queued) do
  push(host_of(request[1]), digits(request[2]), { request[3] .. ' ' .. request[4] }, false)
end
for _, letter in ipairs(input.dead) do
  local fields = { 'host', letter[1], 'priority', digits(letter[2]), 'attempts', letter[3], 'reason', letter[5],
                   'payload', letter[4] }
  if redis.pcall('XADD', DEAD, letter[6], unpack(fields)).err then redis.call('XADD', DEAD, '*', unpack(fields)) end
end
local new = 0
for _, fingerprint in ipairs(input.seen) do
  if add_to_seen(fingerprint) then new = new + 1 end
end
save_seen()
count('dead', #input.dead)
count('done', input.done)
count('dropped', input.dropped)
count('enqueued', #input.queued + #input.dead + input.done)
if #input.queued > 0 then meta.finished = 0 end
save_hosts()
save_counters()
return new
