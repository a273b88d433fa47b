-- retry_out: dead letters that are in MongoDB go back to the end of their queues.
--
-- input.letters  {id, host, priority, payload}, ...; each goes once, however often it is named, until `forget` says
--                that MongoDB has it no more
-- input.forget   ids that are deleted there
--
-- Returns how many went.

local RETRIED = sound(tag .. ':retried', 'set')
local retried = 0
for _, id in ipairs(input.forget) do redis.call('SREM', RETRIED, id) end
for _, letter in ipairs(input.letters) do
  if redis.call('SADD', RETRIED, letter[1]) == 1 then
    local host = host_of(letter[2])
    forgive(host)
    moved(host)
    push(host, digits(letter[3]), { '0 ' .. letter[4] }, false)
    retried = retried + 1
  end
end
count('dead', -retried)
count('dead_out', -retried)
if retried > 0 then meta.finished = 0 end
save_hosts()
save_counters()
return retried
