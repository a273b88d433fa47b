-- Into the queues and out of them; put behind deep.lua.

-- `host` has that queue from now on; `is_new`: it had none of that priority.
local function know(host, priority, is_new)
  if host.only == '-' then
    host.only = priority
  elseif host.only ~= priority then
    local priorities = base .. ':priorities:' .. host.name
    if host.only ~= '*' then first_use('zset', 'ZADD', priorities, -host.only, host.only) end
    if is_new then first_use('zset', 'ZADD', priorities, -priority, priority) end
    host.only = '*'
  end
end

-- Returns how long the list is now.
local function add_to_list(verb, key, elements)
  local length
  in_slices(elements, function(...) length = first_use('list', verb, key, ...) end)
  count('queued', #elements)
  return length
end

local function grow(name, priority, length)
  if length >= terms.chunk and terms.chunk > 0 then deep_queues().grown(host_of(name), priority, length) end
end

local function push(host, priority, elements, to_front)
  local list = not to_front and is_deep(host, priority) and 'tail' or 'requests'
  local length = add_to_list(to_front and 'LPUSH' or 'RPUSH', list_of(list, host.name, priority), elements)
  know(host, priority, length == #elements)
  if not to_front then grow(host.name, priority, length) end
end

-- Whether each has deep queues.
local function are_deep(names)
  local found = {}
  in_slices(names, function(...)
    for _, is_one in ipairs(first_use('set', 'SMISMEMBER', DEEP_HOSTS, ...)) do
      found[#found + 1] = is_one == 1
    end
  end)
  return found
end

-- The same for the ends of many queues: {name, priority, elements}, ... A host knows of a queue that isn't empty, so
-- that only those with a new one are looked at, and those with deep ones.
local function push_all(queues)
  local names, new = {}, {}
  for i, queue in ipairs(queues) do names[i] = queue[1] end
  local deep_ones = are_deep(names)
  names = {}
  for i, queue in ipairs(queues) do
    local name, priority, elements = unpack(queue)
    local length = not deep_ones[i] and add_to_list('RPUSH', list_of('requests', name, priority), elements)
    if length and length > #elements then
      grow(name, priority, length)
    else
      names[#names + 1], new[#new + 1] = name, { i, length }
    end
  end
  read_hosts(names)
  for _, entry in ipairs(new) do
    local name, priority, elements = unpack(queues[entry[1]])
    if entry[2] then
      know(host_of(name), priority, true)
      grow(name, priority, entry[2])
    else
      push(host_of(name), priority, elements, false)
    end
  end
end

-- Of a queue that has lost requests: if it is empty now, its host knows it no more; `drained`: its list is. Returns
-- where what comes next of it is: AHEAD, AWAY or EMPTY, see deep.lua; EMPTY says nothing of a queue that isn't deep.
local function follow(host, priority, drained)
  if is_deep(host, priority) then
    local next = deep_queues().advance(host, priority)
    if next ~= EMPTY then return next end
  elseif not drained and redis.call('EXISTS', list_of('requests', host.name, priority)) == 1 then
    return EMPTY
  end
  if host.only == priority then
    host.only = '-'
  elseif host.only == '*' then
    local priorities = base .. ':priorities:' .. host.name
    first_use('zset', 'ZREM', priorities, priority)
    if redis.call('EXISTS', priorities) == 0 then host.only = '-' end
  end
  return EMPTY
end

-- A script takes about so many bytes at most. The first few requests tell how large the others may be.
local FIRST_TAKEN, MOST_BYTES = 4, 1000000
local number_taken, bytes_taken = 0, 0

local function most_to_take()
  if number_taken < FIRST_TAKEN then return FIRST_TAKEN end
  return math.ceil((MOST_BYTES - bytes_taken) * number_taken / bytes_taken)
end

-- Takes up to `room` requests, the highest priority first, then the oldest: {priority, element}, ...
-- `of_one_priority`: none of the next one.
local function pop(host, room, of_one_priority)
  local taken = {}
  while #taken < room and bytes_taken < MOST_BYTES do
    local priority, wanted = top_priority(host), math.min(room - #taken, most_to_take())
    if not priority or (of_one_priority and taken[1] and taken[1][1] ~= priority) then break end
    local elements = first_use('list', 'LPOP', list_of('requests', host.name, priority), wanted) or {}
    for _, element in ipairs(elements) do
      number_taken, bytes_taken = number_taken + 1, bytes_taken + #element
      if string.find(element, '^%d%d?%d?%d? ') then
        taken[#taken + 1] = { priority, element }
      else
        odd[#odd + 1] = { element, 'this was not queued by a worker' }
      end
    end
    local next = follow(host, priority, #elements < wanted)
    if next == AWAY and #taken == 0 then deep.put_off(host) end
    if next == AWAY then break end
  end
  count('queued', -#taken)
  return taken
end

-- The attempts and the payload of an element of a queue.
local function parts_of(element)
  return string.match(element, '^(%d+) (.*)$')
end

