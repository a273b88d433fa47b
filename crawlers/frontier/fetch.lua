-- fetch: a part of a chunk comes back from MongoDB.
--
-- input.id, input.name  the chunk, and where it was
-- input.there           how many of its requests are in Redis already
-- input.elements        those that follow; none: they could not be found, and other chunks are to go first
--
-- A part that is not the next one, or of a chunk that isn't out, changes nothing. With the last part its host
-- goes on. Returns how many of its requests are in Redis now.

deep_queues()

local chunk = deep.chunk_of(input.id)
if chunk.state ~= 'out' or chunk.name ~= input.name then return chunk.length end
local there = redis.call('LLEN', sound(chunk.list, 'list'))
if there ~= input.there then return there end
if #input.elements == 0 then first_use('zset', 'ZADD', base .. ':wanted', 'XX', digits(now_ms), chunk.id) end
in_slices(input.elements, function(...) there = redis.call('RPUSH', chunk.list, ...) end)
if there >= chunk.length then
  chunk.state = 'back'
  deep.save_chunk(chunk)
  first_use('zset', 'ZREM', base .. ':wanted', chunk.id)
  deep.give_back(chunk.name)
  count('out', -chunk.length)
  moved(host_of(chunk.host))
end
save_hosts()
save_counters()
return there
