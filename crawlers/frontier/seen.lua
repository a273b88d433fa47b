-- The seen set of one crawl, put behind `library.lua`: linear hashing over sets of integers. Litwin, "Linear
-- hashing: a new tool for file and table addressing", VLDB 1980: bucket `split` is the next to be split,
-- `level` the doublings so far.
--
-- A member is a fingerprint of 64 bits and takes 8 bytes; of n URLs some n^2 / 2^65 are taken for one that was
-- seen: 0.0003 of 1e8. In the small form, which a crawl has from its start, 44 bits of it count, of which the
-- bucket stands for 12, so that a member takes 4 bytes: n^2 / 2^45, 284 of 1e8.

local BUCKET_LOAD = 200 -- mean; the fullest holds 2x as many and stays an intset, whose limit is 512
local HASH_BITS = 26
local HASHES = 2 ^ HASH_BITS

local level, split, size = meta.seen_level, meta.seen_split, meta.seen
local doubled = 2 ^ level

-- The low bits of a fingerprint's last ten digits, for Lua counts exactly to 2^53 only. All of them would fill
-- the buckets no more evenly: 10^10 is 149 times 2^26.
local function hash_of(fingerprint)
  return (tonumber(string.sub(fingerprint, -10)) or 0) % HASHES
end

local SMALL_LEVEL, SMALL_BITS = 12, 44 -- small crawls start with 2^12 buckets

-- What chooses the bucket of a fingerprint, and what is put there.
local function place_of(fingerprint)
  if meta.seen_small == 0 then return hash_of(fingerprint), fingerprint end
  local short = math.abs(tonumber(string.sub(fingerprint, -14)) or 0) % 2 ^ SMALL_BITS
  return short, digits(math.floor(short / 2 ^ SMALL_LEVEL) - 2 ^ 31)
end

-- The first of these, of what is in a bucket.
local function hash_in(bucket, member)
  if meta.seen_small == 0 then return hash_of(member) end
  return ((tonumber(member) or 0) + 2 ^ 31) * 2 ^ SMALL_LEVEL + bucket % 2 ^ SMALL_LEVEL
end

local function bucket_key(bucket)
  return base .. ':seen:' .. digits(bucket)
end

-- The two halves are written anew, so that a bucket that outgrew its intset becomes one again.
local function split_bucket()
  local from, to = sound(bucket_key(split), 'set'), sound(bucket_key(split + doubled), 'set')
  local kept, gone = {}, {}
  for _, member in ipairs(redis.call('SMEMBERS', from)) do
    local half = hash_in(split, member) % (2 * doubled) == split and kept or gone
    half[#half + 1] = member
  end
  redis.call('DEL', from)
  in_slices(kept, function(...) redis.call('SADD', from, ...) end)
  in_slices(gone, function(...) redis.call('SADD', to, ...) end)
  split = split + 1
  if split == doubled then level, split, doubled = level + 1, 0, 2 * doubled end
end

local function add_to_seen(fingerprint)
  local hash, member = place_of(fingerprint)
  local bucket = hash % doubled
  if bucket < split then bucket = hash % (2 * doubled) end
  local new = redis.pcall('SADD', bucket_key(bucket), member)
  if new == 0 then return false end
  if new ~= 1 then redis.call('SADD', sound(bucket_key(bucket), 'set'), member) end
  size = size + 1
  if size > BUCKET_LOAD * (doubled + split) and level < HASH_BITS then split_bucket() end
  return true
end

local function save_seen()
  meta.seen_level = level
  meta.seen_split = split
  meta.seen = size
end

-- Chooses the form of a crawl that has seen nothing yet.
local function choose_seen(small)
  if meta.seen > 0 then return end
  meta.seen_small = small and 1 or 0
  level, split, size = small and SMALL_LEVEL or 0, 0, 0
  doubled = 2 ^ level
  save_seen()
end
