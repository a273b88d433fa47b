-- seal: no more links and start URLs are taken; the crawl ends when what is queued has been crawled.
--
-- Returns 1 if nothing is left, so that it has ended now, else 0.

redis.call('HSET', META, 'sealed', 1)
return is_finished()
