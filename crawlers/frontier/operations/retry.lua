-- retry: dead letters go back to the end of their queues, as if they had never been tried.
--
-- input.letters  their ids in the stream
--
-- A crawl that had finished has work again. Returns how many there were; others may have been faster.

local retried = 0
for _, id in ipairs(input.letters) do
  local entry = redis.call('XRANGE', DEAD, id, id)[1]
  if entry then
    local letter = {}
    for i = 1, #entry[2], 2 do letter[entry[2][i]] = entry[2][i + 1] end
    local host = host_of(letter.host)
    forgive(host)
    moved(host)
    push(host, letter.priority, { '0 ' .. letter.payload }, false)
    redis.call('XDEL', DEAD, id)
    retried = retried + 1
  end
end
count('dead', -retried)
if retried > 0 then meta.finished = 0 end
save_hosts()
save_counters()
return retried
