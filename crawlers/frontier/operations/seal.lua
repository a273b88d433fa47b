-- seal: no more links and start URLs are taken; the crawl ends when what is queued has been crawled.
--
-- Returns 1 if nothing is left, so that it has ended now, else 0.

meta.sealed = 1
local finished = is_finished()
save_counters()
return finished
