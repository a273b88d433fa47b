-- drop_of_chunk: some requests of a chunk go among the dead letters, and the others become a new one in its place.
--
-- input.id      the chunk, which is in Redis; any other stays as it is
-- input.places  of those to be dropped, counted from 1
-- input.reason  for the dead letters
--
-- Returns how many were dropped.

deep_queues()

local chunk = deep.chunk_of(input.id)
local elements = redis.call('LRANGE', sound(chunk.list, 'list'), 0, -1)
if (chunk.state ~= 'here' and chunk.state ~= 'back') or #elements ~= chunk.length then return 0 end

local host, dropped, kept = host_of(chunk.host), {}, {}
for _, place in ipairs(input.places) do dropped[place] = true end
for place, element in ipairs(elements) do
  if dropped[place] then
    local attempts, start = string.match(element, '^(%d+) ()')
    bury(chunk.host, chunk.priority, attempts or 0, input.reason, string.sub(element, start or 1))
  else
    kept[#kept + 1] = element
  end
end
local chunks = list_of('deep', host.name, chunk.priority)
if #kept > 0 then
  local new = deep.new_chunk(host, chunk.priority, #kept)
  in_slices(kept, function(...) redis.call('RPUSH', new.list, ...) end)
  redis.call('LINSERT', chunks, 'BEFORE', chunk.id, new.id)
end
redis.call('LREM', chunks, 1, chunk.id)
redis.call('UNLINK', chunk.list)
deep.forget_chunk(chunk)
count('queued', #kept - #elements)
follow(host, chunk.priority)
save_hosts()
save_counters()
return #elements - #kept
