-- cookies: what a worker's cookies of one site have become goes into the crawl's, cookie by cookie.
--
-- input.site        which site, and which of the spider's jars
-- input.set         cookie, payload, ... in one row: those that are new or have changed
-- input.gone        cookies that were deleted
-- input.most_sites  sites to keep; the one that changed longest ago goes first
-- input.most_bytes  of all cookies of a site; a site that would have more keeps what it has
--
-- Returns the version of the crawl's cookies, which grows with each change, or 0 where the site has too many.

local COOKIES, COOKIE_SITES = tag .. ':cookies', tag .. ':cookie_sites'

local packed = first_use('hash', 'HGET', COOKIES, input.site)
local is_map, cookies = pcall(cmsgpack.unpack, packed or '')
if not (packed and is_map and type(cookies) == 'table') then cookies = {} end
for i = 1, #input.set, 2 do cookies[input.set[i]] = input.set[i + 1] end
for _, cookie in ipairs(input.gone) do cookies[cookie] = nil end

local text = cmsgpack.pack(cookies)
if #text > input.most_bytes then return 0 end
redis.call('HSET', COOKIES, input.site, text)
first_use('zset', 'ZADD', COOKIE_SITES, digits(now_ms), input.site)
local excess = redis.call('ZCARD', COOKIE_SITES) - input.most_sites
if excess > 0 then
  for _, site in ipairs(redis.call('ZRANGE', COOKIE_SITES, 0, math.min(excess, 100) - 1)) do
    redis.call('HDEL', COOKIES, site)
    redis.call('ZREM', COOKIE_SITES, site)
  end
end
count('cookies', 1)
save_counters()
return meta.cookies
