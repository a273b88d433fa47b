-- The seen set of one crawl, put behind `library.lua`: linear hashing over sets of integers. Litwin, "Linear
-- hashing: a new tool for file and table addressing", VLDB 1980: bucket `split` is the next to be split,
-- `level` the doublings so far.
--
-- A member is a fingerprint of 64 bits and takes 8 bytes; of n URLs some n^2 / 2^65 are taken for one that was
-- seen: 0.0003 of 1e8. In the small form, which a crawl has from its start, 44 bits of it count, of which the
-- bucket stands for 12, so that a member takes 4 bytes: n^2 / 2^45, 284 of 1e8.

local BUCKET_LOAD = 200 -- mean; the fullest holds 2x as many and stays an intset, whose limit is 512
-- Each bucket is a range of hashes and has the number of its first one, so that the two halves of one that is
-- split are what is below a value and what is not; a set of integers is in order.
local level, split, size = meta.seen_level, meta.seen_split, meta.seen
local buckets, width, edge -- how many there are; hashes in a bucket that is not split yet, and the next of those

local function measure()
  buckets, width = 2 ^ level + split, HASHES / 2 ^ level
  edge = split * width
end
measure()

local SMALL_LEVEL, SMALL_BITS, SMALL_MEMBER = 12, 44, 2 ^ 32 -- small crawls start with 2^12 buckets

-- The first bits of a fingerprint. Those next to a bucket's end are rounded into another, here and in a split.
local PER_HASH = 2 ^ (64 - HASH_BITS)
local function hash_of(fingerprint)
  local part = fingerprint / PER_HASH
  local hash = part - part % 1 + HASHES / 2
  return hash < HASHES and hash or HASHES - 1
end

-- What chooses the bucket of a fingerprint, and what is put there.
local function place_of(fingerprint)
  if meta.seen_small == 0 then return hash_of(fingerprint), fingerprint end
  local short = math.abs(tonumber(string.sub(fingerprint, -14)) or 0) % 2 ^ SMALL_BITS
  return math.floor(short / 2 ^ (SMALL_BITS - HASH_BITS)), digits(short % SMALL_MEMBER - SMALL_MEMBER / 2)
end

-- The least that may be in a bucket that begins with this hash.
local function first_member(hash)
  if meta.seen_small == 0 then return (hash - HASHES / 2) * PER_HASH end
  return hash * 2 ^ (SMALL_BITS - HASH_BITS) % SMALL_MEMBER - SMALL_MEMBER / 2
end

local function bucket_key(bucket)
  return base .. ':seen:' .. bucket
end

local function value_of(member)
  return tonumber(member) or 0
end

-- All of a bucket in order, and how many are less than `value`.
local function cut_at(key, value)
  local members = redis.call('SMEMBERS', key)
  if redis.call('OBJECT', 'ENCODING', key) ~= 'intset' then
    table.sort(members, function(one, other) return value_of(one) < value_of(other) end)
  end
  local less, more = 0, #members + 1
  while more - less > 1 do
    local middle = math.floor((less + more) / 2)
    if value_of(members[middle]) < value then less = middle else more = middle end
  end
  return members, less
end

-- The two halves are written anew, so that a bucket that outgrew its intset becomes one again.
local function split_bucket()
  local from, to = sound(bucket_key(edge), 'set'), sound(bucket_key(edge + width / 2), 'set')
  local members, kept = cut_at(from, first_member(edge + width / 2))
  redis.call('DEL', from)
  in_slices(members, function(...) redis.call('SADD', from, ...) end, 1, kept)
  in_slices(members, function(...) redis.call('SADD', to, ...) end, kept + 1)
  split = split + 1
  if split == 2 ^ level then level, split = level + 1, 0 end
  measure()
end

local function add_to_seen(fingerprint)
  local hash, member = place_of(fingerprint)
  local bucket = hash - hash % width
  if bucket < edge then bucket = hash - hash % (width / 2) end
  local new = redis.pcall('SADD', bucket_key(bucket), member)
  if new == 0 then return false end
  if new ~= 1 then redis.call('SADD', sound(bucket_key(bucket), 'set'), member) end
  size = size + 1
  if size > BUCKET_LOAD * buckets and level < HASH_BITS then split_bucket() end
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
  measure()
  save_seen()
end
