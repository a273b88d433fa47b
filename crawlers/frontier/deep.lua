-- Queues too long for Redis; put between hosts.lua and queues.lua.
--
-- The list of a queue that has grown to terms.chunk requests is its front: requests are taken from it, and what
-- is pushed to the end goes to its tail. A tail of that length is closed: it becomes a chunk, behind those that
-- are there. A chunk never changes. A worker may write it to MongoDB and have its list dropped (spill.lua), and
-- brings it back (fetch.lua) once the front runs low. An empty front is followed by the first chunk, and
-- behind the last by the tail, by a RENAME each.
--
-- A name in MongoDB belongs to one attempt to write there, so that what becomes of another attempt can't touch
-- it. Names are in `returned` from before they are written for as long as they are not needed: so it is known
-- what there is to be deleted, and when.

local RETURNED = tag .. ':returned'
local EMPTY, AHEAD, AWAY = 0, 1, 2
local AWAY_US = 1000000

local function list_of(kind, name, priority)
  return base .. ':' .. kind .. ':' .. name .. ':' .. priority
end

-- host.deep: the priorities of its queues that are, each between commas; "" for none.
local function is_deep(host, priority)
  return host.deep ~= '' and string.find(host.deep, ',' .. priority .. ',', 1, true) ~= nil
end

local deep

-- What follows is made when it is needed: a script without deep queues doesn't pay for it.
local function deep_queues()
  if deep then return deep end
  deep = {}

  function deep.make_deep(host, priority)
    host.deep = (host.deep == '' and ',' or host.deep) .. priority .. ','
    first_use('set', 'SADD', DEEP_HOSTS, host.name)
  end

  function deep.make_shallow(host, priority)
    local first, last = string.find(host.deep, ',' .. priority .. ',', 1, true)
    host.deep = string.sub(host.deep, 1, first) .. string.sub(host.deep, last + 1)
    if host.deep == ',' then
      host.deep = ''
      first_use('set', 'SREM', DEEP_HOSTS, host.name)
    end
  end

  -- What is known of a chunk. `state` here: its list is in Redis; out: in MongoDB, as `name`; back: in Redis again.
  function deep.chunk_of(id)
    local record = first_use('hash', 'HGET', base .. ':chunks', id) or ''
    local state, name, length, priority, host = string.match(record, '^(%l+) (%S+) (%d+) (-?%d+) (%S+)$')
    return { id = id, state = state or 'lost', name = name, length = whole(length) or 0, priority = priority,
             host = host, list = base .. ':chunk:' .. id }
  end

  function deep.save_chunk(chunk)
    local record = table.concat({ chunk.state, chunk.name, digits(chunk.length), chunk.priority, chunk.host }, ' ')
    first_use('hash', 'HSET', base .. ':chunks', chunk.id, record)
  end

  -- The clock is in its id, so that a Redis that came back without its last second never gives one twice.
  function deep.new_chunk(host, priority, length)
    count('chunks', 1)
    local number = digits(meta.chunks)
    local id = number .. '-' .. digits(now_us)
    local chunk = { id = id, state = 'here', name = '-', length = length, priority = priority, host = host.name,
                    list = base .. ':chunk:' .. id }
    deep.save_chunk(chunk)
    first_use('zset', 'ZADD', base .. ':here', number, id)
    return chunk
  end

  function deep.forget_chunk(chunk)
    redis.call('HDEL', base .. ':chunks', chunk.id)
    first_use('zset', 'ZREM', base .. ':here', chunk.id)
    first_use('zset', 'ZREM', base .. ':wanted', chunk.id)
  end

  -- A list that pushes made `length` long, the front of its queue or, of a deep one, its tail.
  function deep.grown(host, priority, length)
    if not is_deep(host, priority) then return deep.make_deep(host, priority) end
    local chunk = deep.new_chunk(host, priority, length)
    redis.call('RENAME', list_of('tail', host.name, priority), chunk.list)
    first_use('list', 'RPUSH', list_of('deep', host.name, priority), chunk.id)
  end

  -- Asks for the chunk behind a front of `left` requests if that runs low: ten for each that is open are half a
  -- second at a site that answers in 50 ms.
  function deep.look_ahead(host, priority, left)
    if left > math.min(math.max(terms.chunk / 2, 1), 10 * math.max(host.active, 5)) then return end
    local id = first_use('list', 'LINDEX', list_of('deep', host.name, priority), 0)
    if id and deep.chunk_of(id).state == 'out' then
      first_use('zset', 'ZADD', base .. ':wanted', 'NX', digits(now_ms), id)
    end
  end

  -- Puts what comes next in the place of a front that is empty. Returns AHEAD if its front has something, AWAY
  -- if the next is yet to come from MongoDB, EMPTY if there is nothing.
  function deep.advance(host, priority)
    local front, chunks = list_of('requests', host.name, priority), list_of('deep', host.name, priority)
    local left = first_use('list', 'LLEN', front)
    if left > 0 then
      deep.look_ahead(host, priority, left)
      return AHEAD
    end
    while is_deep(host, priority) do
      local id = first_use('list', 'LINDEX', chunks, 0)
      local chunk = id and deep.chunk_of(id) or { list = list_of('tail', host.name, priority) }
      if chunk.state == 'out' then
        first_use('zset', 'ZADD', base .. ':wanted', 'NX', digits(now_ms), id)
        return AWAY
      end
      if id then
        redis.call('LPOP', chunks)
        deep.forget_chunk(chunk)
      else
        deep.make_shallow(host, priority)
      end
      if redis.call('EXISTS', chunk.list) == 1 then
        redis.call('RENAME', sound(chunk.list, 'list'), front)
        return AHEAD
      elseif id then
        odd[#odd + 1] = { id, 'the list of this chunk of requests of ' .. host.name .. ' was gone' }
      end
    end
    return EMPTY
  end

  -- Its next requests are in MongoDB. Until they are back the others are asked.
  function deep.put_off(host)
    moved(host)
    host.ask_us = math.max(free_us(host), now_us + AWAY_US)
  end

  -- Behind the front of a queue: how many requests there are.
  function deep.length_behind(host, priority)
    local length = redis.call('LLEN', sound(list_of('tail', host.name, priority), 'list'))
    for _, id in ipairs(redis.call('LRANGE', sound(list_of('deep', host.name, priority), 'list'), 0, -1)) do
      length = length + deep.chunk_of(id).length
    end
    return length
  end

  -- That name in MongoDB isn't needed any more from now on.
  function deep.give_back(name)
    first_use('zset', 'ZADD', RETURNED, digits(now_ms), name)
  end

  -- Frees some chunks of a generation given up. Returns whether any are left.
  function deep.purge_chunks(old, most)
    local key = old .. ':chunks'
    local chunks = redis.pcall('HRANDFIELD', key, most, 'WITHVALUES')
    if chunks.err then redis.call('UNLINK', key) end
    for i = 1, chunks.err and 0 or #chunks, 2 do
      local state, name = string.match(chunks[i + 1], '^(%l+) (%S+) ')
      if state == 'out' then deep.give_back(name) end
      redis.call('UNLINK', old .. ':chunk:' .. chunks[i])
      redis.call('HDEL', key, chunks[i])
    end
    redis.call('UNLINK', old .. ':here', old .. ':wanted')
    return redis.call('EXISTS', key) == 1
  end

  return deep
end

