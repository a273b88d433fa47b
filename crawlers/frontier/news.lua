-- What workers saw of a host; put between seen.lua and leasing.lua. Each kind changes `host`, to be saved
-- by who calls.

local news = {}

-- robots: its robots.txt was read, and holds for ttl_ms; delay_ms 0: it asks for no delay.
function news.robots(host, delay_ms, ttl_ms)
  host.robots_ms = math.max(host.robots_ms, math.min(delay_ms, MOST_TERM))
  host.robots_us = now_us + math.max(0, math.min(ttl_ms, MOST_TERM)) * 1000
  if host.robots_ms > 0 then host.next_us = math.max(host.next_us, now_us + robots_delay_ms(host) * 1000) end
  host.timed = is_timed(host)
  if not host.timed then host.starting = 0 end
  host.strikes, host.rests, host.why = 0, 0, ''
end

-- answer: it answered after latency_ms with an HTTP status; one below 500 is not that of a host in trouble.
-- The delay follows the latency as Scrapy's AutoThrottle has it: never faster because of a quick error.
function news.answer(host, latency_ms, status)
  if status < 500 and host.wake_us <= now_us then host.strikes, host.rests, host.why = 0, 0, '' end
  if terms.throttle == 0 then return end
  local target_ms = latency_ms * 1000 / terms.throttle
  local old_ms = host.throttle_ms > 0 and host.throttle_ms or terms.throttle_start_ms
  local new_ms = math.max(target_ms, (old_ms + target_ms) / 2)
  new_ms = math.max(1, host.delay_ms, math.min(new_ms, terms.throttle_max_ms))
  if status == 200 or new_ms > old_ms then host.throttle_ms = math.ceil(new_ms) end
end

-- trouble: it asks to be left alone for wait_ms; -1: for a time that grows with each failure in a row. Who
-- is `patient` does so only from the third on, for a single page may be broken. Only the first failure of
-- those that were under way at once counts.
function news.trouble(host, wait_ms, reason, patient)
  if host.wake_us > now_us then
    if wait_ms > 0 then host.wake_us = math.max(host.wake_us, now_us + math.min(wait_ms, MOST_TERM) * 1000) end
    return
  end
  host.strikes = host.strikes + 1
  local counted = host.strikes - (patient and 2 or 0)
  if counted < 1 then return end
  if wait_ms < 0 then
    local longest_ms = math.min(terms.back_off_max_ms, terms.back_off_ms * 2 ^ math.min(counted - 1, 30))
    wait_ms = chance(longest_ms * 0.75, longest_ms * 1.25)
  end
  host.why = string.sub(reason, 1, 200)
  if terms.strikes > 0 and host.strikes >= terms.strikes then
    host.strikes, host.rests = 0, host.rests + 1
    wait_ms = math.max(wait_ms, terms.rest_ms)
    host.why = 'set aside: ' .. host.why
  end
  host.wake_us = now_us + math.floor(math.min(wait_ms, MOST_TERM)) * 1000
end
