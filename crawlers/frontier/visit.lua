-- visit: a worker is to ask a host for something that isn't in its queues, such as a redirect of robots.txt.
--
-- input.host  whom
--
-- Takes the next turn of that host. Returns in how many ms it is, 0: now.

local host = host_of(input.host)
local at_us = math.max(free_us(host), now_us)
host.next_us = at_us + gap_us(host)
moved(host)
save_hosts()
save_counters()
return math.ceil((at_us - now_us) / 1000)
