"""Celery, requests and parsel: a task a page, links deduplicated in a Redis set.

Celery's own worker runs it; the first URL and that of Redis are in `PEER_URL` and `PEER_REDIS_URL`.
"""

from __future__ import annotations

import os
from urllib.parse import urljoin

import redis
import requests
from celery import Celery
from celery.signals import worker_process_init, worker_ready
from parsel import Selector

REDIS_URL = os.environ["PEER_REDIS_URL"]
app = Celery("peer", broker=REDIS_URL)
app.conf.task_ignore_result = True


@worker_process_init.connect
def connect(**_: object) -> None:
    """A session and a connection of each process's own."""
    global session, frontier
    session = requests.Session()
    frontier = redis.Redis.from_url(REDIS_URL)


@app.task
def crawl(url: str) -> None:
    """Fetches a page, makes an item of it, and a task of each link that nobody has seen."""
    response = session.get(url, timeout=60)
    _item = {"_id": url, "bytes": len(response.content)}
    hrefs = Selector(response.text).css("a::attr(href)").getall()
    links = [urljoin(url, href) for href in hrefs]
    pipe = frontier.pipeline(transaction=False)
    for link in links:
        pipe.sadd("seen", link)
    for link, is_new in zip(links, pipe.execute(), strict=True):
        if is_new:
            crawl.delay(link)
    frontier.incr("items")


@worker_ready.connect
def begin(**_: object) -> None:
    """The first task."""
    url = os.environ["PEER_URL"]
    redis.Redis.from_url(REDIS_URL).sadd("seen", url)
    crawl.delay(url)
