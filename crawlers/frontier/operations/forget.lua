-- forget: takes fingerprints out of the seen set, so that the next link to each is taken.
--
-- input.seen  fingerprints
--
-- Returns how many were there.

local forgotten = 0
for _, fingerprint in ipairs(input.seen) do
  local hash, member = place_of(fingerprint)
  local bucket = hash - hash % width
  if bucket < edge then bucket = hash - hash % (width / 2) end
  forgotten = forgotten + redis.call('SREM', sound(bucket_key(bucket), 'set'), member)
end
size = math.max(0, size - forgotten)
save_seen()
save_counters()
return forgotten
