-- bound_dead: the oldest dead letters of a crawl are in MongoDB now, and leave Redis. They count as dead as before.
--
-- input.ids  of the oldest in the stream, in their order
--
-- Any worker may do so, and do so again. Returns the ids of those that were tried again since they were read: what
-- is in MongoDB of them is to go. What isn't here, and isn't newer than the last that left, another has moved.

local function parts_of_id(id)
  local ms, number = string.match(id, '^(%d+)-(%d+)$')
  return tonumber(ms) or 0, tonumber(number) or 0
end

local last_ms, last_number = parts_of_id(redis.call('HGET', META, 'dead_out_to') or '')
local gone, retried, last = 0, {}, nil
for _, id in ipairs(input.ids) do
  local ms, number = parts_of_id(id)
  if redis.call('XDEL', DEAD, id) == 1 then
    gone, last = gone + 1, id
  elseif ms > last_ms or (ms == last_ms and number > last_number) then
    retried[#retried + 1] = id
  end
end
if last then redis.call('HSET', META, 'dead_out_to', last) end
count('dead_out', gone)
save_counters()
return retried
