-- repair_host: makes one host's figures those of its queues.
--
-- input.host        its name
-- input.priorities  of the queues that may exist, beside those that the host knows
-- input.active      to be added to its active leases
--
-- Returns how many requests it has.

deep_queues()

local key = base .. ':priorities:' .. input.host
local host, queued = host_of(input.host), 0
local candidates = redis.call('ZRANGE', key, 0, -1)
for _, priority in ipairs(input.priorities) do candidates[#candidates + 1] = digits(priority) end
-- A chunk in Redis holds what its list holds; one of which nothing is known, and no list is there, goes.
local function repair_chunks(priority)
  local chunks = sound(list_of('deep', host.name, priority), 'list')
  for _, id in ipairs(redis.call('LRANGE', chunks, 0, -1)) do
    local chunk = deep.chunk_of(id)
    local there = redis.call('LLEN', sound(chunk.list, 'list'))
    if chunk.state ~= 'out' and there == 0 then
      redis.call('LREM', chunks, 0, id)
      deep.forget_chunk(chunk)
    elseif chunk.state ~= 'out' and there ~= chunk.length then
      chunk.state, chunk.name, chunk.length, chunk.priority, chunk.host = 'back', '-', there, priority, host.name
      deep.save_chunk(chunk)
    end
  end
  local behind = deep.length_behind(host, priority)
  if is_deep(host, priority) then deep.make_shallow(host, priority) end
  if behind > 0 then deep.make_deep(host, priority) end
  return behind
end

local counted = {}
for _, priority in ipairs(candidates) do
  if not counted[priority] then
    counted[priority] = true
    local length = repair_chunks(priority)
    length = length + redis.call('LLEN', list_of('requests', host.name, priority))
    redis.call('ZREM', key, priority)
    if length > 0 then redis.call('ZADD', key, -priority, priority) end
    if is_deep(host, priority) then deep.advance(host, priority) end
    queued = queued + length
  end
end
host.only = queued > 0 and '*' or '-'
host.active = math.max(host.active + input.active, 0)
first_use('set', host.deep == '' and 'SREM' or 'SADD', DEEP_HOSTS, host.name)
save_hosts()
save_counters()
return queued
