"""A worker neither executes what it finds in Redis nor stops at it."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import msgpack
import redis

from crawlers.frontier import Link, encode
from deploy.local.practice_site import PracticeSite
from tests.helpers import run_spider

URL = "http://a.example/"


class Execute:
    """A pickle that runs a command where it is opened."""

    def __init__(self, command: str) -> None:
        self._command = command

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (self._command,)


def payload(**fields: Any) -> bytes:
    """A well-formed payload with the fields of a link."""
    return encode(Link(**{"url": URL, **fields}), 10**6)


def test_hostile_requests_in_a_queue_become_dead_letters_and_the_crawl_ends(
    redis_url: str, redis_client: redis.Redis, practice_site: PracticeSite, crawl_name: str, tmp_path: Path
) -> None:
    # Given a queue with a good request amid hostile ones
    executed = tmp_path / "executed"
    secret = tmp_path / "secret"
    secret.write_text("secret")
    hostile = {
        pickle.dumps(Execute(f"touch {executed}")): "not msgpack",
        msgpack.packb([2, URL]): "not a payload of version 1",
        b"\xc7\xff" * 300: "unknown type",
        payload(callback="__init__"): "no callback '__init__'",
        payload(callback="update_settings"): "no callback 'update_settings'",
        payload(callback="custom_settings"): "no callback 'custom_settings'",
        payload(errback="_set_crawler"): "no callback '_set_crawler'",
        payload(kind="subprocess.Popen"): "its class 'subprocess.Popen' is not one",
        payload(kind="JsonRequest", extra={"dumps_kwargs": {"cls": "x"}}): "download failed",
        payload(extra={"callback": "parse"}): "no request can be made",
        payload(encoding="rot13"): "no request can be made",
        payload(url="no scheme"): "no request can be made",
        payload(url=secret.as_uri()): "a file: URL",
        payload(meta={"x": "y" * 600_000}): "bytes long",
        payload(headers={b"a": 7}): "download failed",
    }
    good = payload(url=f"{practice_site.url}traps/leaf/good")
    base = f"{{{crawl_name}}}"
    redis_client.rpush(f"{base}:1:requests:h:0", *(b"0 " + p for p in [*hostile, good]))
    redis_client.hset(f"{base}:1:hosts", "h", "0 0")
    redis_client.zadd(f"{base}:1:ready", {"h": 0})
    counters = {"generation": 1, "run": 1, "queued": len(hostile) + 1, "enqueued": len(hostile) + 1}
    redis_client.hset(f"{base}:meta", mapping=counters)

    # When a worker takes them
    ended = run_spider(
        "plain",
        tmp_path,
        arguments={"crawl": crawl_name},
        settings={
            "SPIDER_MODULES": "tests.integration.spiders",
            "ITEM_PIPELINES": "{}",
            "RETRY_ENABLED": False,
            "FRONTIER_UNKNOWN_WAIT_S": 0,
            "FRONTIER_INSIDE_NETWORKS": "127.0.0.0/8",
        },
        env={"REDIS_URL": redis_url},
    )

    # Then it crawls the good one, ends by itself, and has executed nothing
    assert ended.reason == "finished"
    assert "The worker can't go on" not in ended.log
    assert redis_client.hget(f"{base}:meta", "done") == b"1"
    assert not executed.exists()
    # And each hostile one is set aside with its reason
    dead = redis_client.xrange(f"{base}:dead")
    letters = {fields[b"payload"]: fields[b"reason"].decode() for _, fields in dead}
    assert letters.keys() == hostile.keys()
    for bytes_, reason in hostile.items():
        assert reason in letters[bytes_]
