-- cut: makes chunks of what is queued beyond the first requests of some hosts.
--
-- input.cursor  of ZSCAN, "0" to begin
-- input.hosts   about how many hosts to look at
-- input.keep    so many requests of a queue stay in its front, at most twice as many in its tail
-- input.most    chunks to make, of up to terms.chunk requests
--
-- Nothing happens while the crawl is paused, so that it can be exported. Returns {cursor, chunks}: where to go
-- on, "0" at the end; how many chunks were made.

deep_queues()

if meta.paused == 1 then return { '0', 0 } end
local most, length = input.most, math.max(terms.chunk, input.keep)

local function cut_front(host, priority)
  local front = list_of('requests', host.name, priority)
  local surplus = first_use('list', 'LLEN', front) - input.keep
  while surplus > input.keep and most > 0 do
    local number = math.min(surplus, length)
    local chunk = deep.new_chunk(host, priority, number)
    in_slices(redis.call('LRANGE', front, -number, -1), function(...) redis.call('RPUSH', chunk.list, ...) end)
    redis.call('LTRIM', front, 0, -number - 1)
    first_use('list', 'LPUSH', list_of('deep', host.name, priority), chunk.id)
    if not is_deep(host, priority) then deep.make_deep(host, priority) end
    surplus, most = surplus - number, most - 1
  end
end

local function cut_tail(host, priority)
  if not is_deep(host, priority) or most == 0 then return end
  local queued = redis.call('LLEN', sound(list_of('tail', host.name, priority), 'list'))
  if queued > 2 * input.keep then
    deep.grown(host, priority, queued)
    most = most - 1
  end
end

local reply = redis.call('ZSCAN', READY, input.cursor, 'COUNT', input.hosts)
for i = 1, #reply[2], 2 do
  local host = host_of(reply[2][i])
  if most > 0 then
    local several = host.only == '*' and first_use('zset', 'ZRANGE', base .. ':priorities:' .. host.name, 0, -1)
    for _, priority in ipairs(several or { host.only }) do
      if whole(priority) then
        cut_tail(host, priority)
        cut_front(host, priority)
      end
    end
  end
end
save_hosts()
save_counters()
return { reply[1], input.most - most }
