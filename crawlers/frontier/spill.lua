-- spill: MongoDB has these chunks now; their lists are dropped.
--
-- input.chunks     {id, name}, ...
-- input.within_ms  how long ago their names may have been given
--
-- A chunk that was taken to the front meanwhile stays as it is; so does one with a name so old that it may be
-- deleted any moment. Returns how many chunks went.

deep_queues()

redis.call('HDEL', META, '') -- behind a write this runs in a full Redis as well, for it makes room there

local went = 0
for _, pair in ipairs(input.chunks) do
  local chunk, name = deep.chunk_of(pair[1]), pair[2]
  local since_ms = tonumber(first_use('zset', 'ZSCORE', RETURNED, name) or 0)
  if chunk.state == 'here' and since_ms > now_ms - input.within_ms then
    redis.call('UNLINK', chunk.list)
    first_use('zset', 'ZREM', base .. ':here', chunk.id)
    redis.call('ZREM', RETURNED, name)
    chunk.state, chunk.name = 'out', name
    deep.save_chunk(chunk)
    count('out', chunk.length)
    went = went + 1
  end
end
save_counters()
return went
