-- repair_host: makes one host's figures those of its queues.
--
-- input.host        its name
-- input.priorities  of the queues that may exist, beside those that the host knows
-- input.active      to be added to its active leases
--
-- Returns {by}, what was added to the number of its queued requests.

local key = base .. ':priorities:' .. input.host
local host, queued = host_of(input.host), 0
local candidates = redis.call('ZRANGE', key, 0, -1)
for _, priority in ipairs(input.priorities) do candidates[#candidates + 1] = digits(priority) end
local counted = {}
for _, priority in ipairs(candidates) do
  if not counted[priority] then
    counted[priority] = true
    local length = redis.call('LLEN', base .. ':requests:' .. input.host .. ':' .. priority)
    redis.call('ZREM', key, priority)
    if length > 0 then redis.call('ZADD', key, -priority, priority) end
    queued = queued + length
  end
end
local by = queued - host.queued
host.only = queued > 0 and '*' or '-'
host.queued = queued
host.active = math.max(host.active + input.active, 0)
save_hosts()
return by
