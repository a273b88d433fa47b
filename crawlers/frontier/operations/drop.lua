-- drop: looks at the head of one list; what is to be dropped goes among the dead letters, the rest behind
-- the end of its list. Applied to a whole list this keeps its order, at the same small cost for each step.
--
-- input.host, input.priority  the queue
-- input.list                  "requests", or "tail" for that of a deep queue
-- input.drop, input.keep      elements that were looked at, as they stand in the queue
-- input.reason                for the dead letters
--
-- Stops at the first element that is neither: it came since. Returns {passed, dropped}.

local verdicts = {}
for _, element in ipairs(input.keep) do verdicts[element] = 'keep' end
for _, element in ipairs(input.drop) do verdicts[element] = 'drop' end

local key = list_of(input.list, input.host, digits(input.priority))
local host, kept, passed = host_of(input.host), {}, 0
for _, element in ipairs(redis.call('LRANGE', key, 0, #input.keep + #input.drop - 1)) do
  if not verdicts[element] then break end
  passed = passed + 1
  if verdicts[element] == 'keep' then
    kept[#kept + 1] = element
  else
    local attempts, start = string.match(element, '^(%d+) ()')
    bury(input.host, digits(input.priority), attempts or 0, input.reason, string.sub(element, start or 1))
  end
end
if passed == 0 then return { 0, 0 } end

in_slices(kept, function(...) redis.call('RPUSH', key, ...) end)
redis.call('LTRIM', key, passed, -1)
follow(host, digits(input.priority))
count('queued', #kept - passed)
save_hosts()
save_counters()
return { passed, passed - #kept }
