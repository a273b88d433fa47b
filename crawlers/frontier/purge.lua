-- purge: frees a part of what a cleared crawl left behind, so that no call holds Redis up.
--
-- input.most  buckets of the seen set and hosts to free in this call
--
-- Returns 1 while there is more to free, else 0.

return purge(input.most) and 1 or 0
