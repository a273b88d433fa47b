-- repair_bucket: writes a bucket of the seen set anew, so that it is a set of integers again.
--
-- input.bucket  its number
--
-- What is no integer can't have been put there by a worker, and goes. Returns how many went.

local key, kept, gone = bucket_key(input.bucket), {}, 0
for _, member in ipairs(redis.call('SMEMBERS', key)) do
  if string.match(member, '^%-?%d+$') then kept[#kept + 1] = member else gone = gone + 1 end
end
redis.call('DEL', key)
in_slices(kept, function(...) redis.call('SADD', key, ...) end)
return gone
