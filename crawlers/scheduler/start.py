"""The start of a spider runs in every worker, its requests are crawled once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scrapy.spidermiddlewares.base import BaseSpiderMiddleware

if TYPE_CHECKING:
    from scrapy import Request
    from scrapy.http import Response

# In a request's meta from here to the scheduler, which takes it out: copies of it, as made by a retry,
# are no start requests.
START = "_frontier_start"


class StartOnce(BaseSpiderMiddleware):
    """Marks what a spider's `start` yields, so that the fleet crawls it once in a run.

    Scrapy's own start requests are not deduplicated; fifty workers would fetch each fifty times.
    """

    def get_processed_request(self, request: Request, response: Response | None) -> Request | None:
        """Marks `request` where it isn't the outcome of a response."""
        if response is None:
            request.meta[START] = True
        return request
