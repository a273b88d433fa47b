"""How much a worker hands over in one exchange. Redis does nothing else meanwhile, for any worker, so that
what there is more of goes with the next one.

An exchange's time follows its hosts more than anything else: one takes some 15 us of Redis, with a delay or a
robots.txt 40; a link to a host that is in it anyhow 5 (`python -m benchmarks.frontier --only slowest`).
"""

from __future__ import annotations

MOST_FOUND_COST = 1000
"""Of links: each counts one, one to a host and priority that the exchange hasn't had yet QUEUE_COST more."""
QUEUE_COST = 16
BYTES_FOR_ONE = 1024
"""So many bytes of a link's payload count one."""
MOST_ENDED = 48
"""Leases done, failed or given back; and as many visits, news of hosts, and hosts that want spares."""
MOST_WANTED = 48
"""Leases."""
