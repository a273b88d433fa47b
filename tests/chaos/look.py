"""A crawl's keys in Redis, counted one by one in a single atomic step, without trust in any counter."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from crawlers.frontier import BadPayload, decode

# KEYS[1]: the crawl's hash tag. Returns what counters say, what is there, and each worker's leases.
_LOOK = """
local tag = KEYS[1]
local meta = redis.call('HMGET', tag .. ':meta', 'enqueued', 'done', 'queued', 'leased', 'dead', 'finished',
                        'run', 'reaped', 'generation')
for i = 1, 9 do meta[i] = tonumber(meta[i]) or 0 end
local base = tag .. ':' .. math.max(meta[9], 1)
local queued, leased, spares, again, workers, host_active = 0, 0, 0, {}, {}, 0
local waiting, known = {}, {} -- hosts with something in a queue, and those that know of it
for _, kind in ipairs({ ':requests:*', ':tail:*', ':chunk:*' }) do
  for _, key in ipairs(redis.call('KEYS', base .. kind)) do
    if kind == ':requests:*' then waiting[string.match(key, '([^:]+):%-?%d+$')] = true end
    for _, element in ipairs(redis.call('LRANGE', key, 0, -1)) do
      queued = queued + 1
      local attempts, payload = string.match(element, '^(%d+) (.*)$')
      if attempts ~= '0' then again[#again + 1] = payload end
    end
  end
end
for _, record in ipairs(redis.call('HVALS', base .. ':chunks')) do -- those in MongoDB
  queued = queued + (tonumber(string.match(record, '^out %S+ (%d+) ')) or 0)
end
for _, key in ipairs(redis.call('KEYS', base .. ':leases:*')) do
  local held = {}
  for _, record in ipairs(redis.call('HVALS', key)) do
    held[#held + 1] = string.match(record, '^%S+ %S+ %d+ %d+ (.*)$')
  end
  leased = leased + #held
  workers[#workers + 1] = { string.sub(key, #base + 9), held }
end
for _, key in ipairs(redis.call('KEYS', base .. ':worker:*')) do -- leases without a slot
  local text = redis.call('HGET', key, 'spares') or ''
  for number in string.gmatch(text, '%S+ (%d+)') do spares = spares + number end
end
local hosts = redis.call('HGETALL', base .. ':hosts')
for i = 1, #hosts, 2 do
  local active, only = string.match(hosts[i + 1], '^(%d+) (%S+)')
  host_active = host_active + active
  if only ~= '-' then known[hosts[i]] = true end
end
local not_known = 0
for host in pairs(waiting) do not_known = not_known + (known[host] and 0 or 1) end
local dead = redis.call('XLEN', tag .. ':dead')
return { meta, { queued, leased, dead, not_known, host_active, spares }, again, workers,
         redis.call('ZRANGE', tag .. ':workers', 0, -1) }
"""


@dataclass(frozen=True, slots=True)
class Look:
    """A crawl at one moment; payloads stand for requests. `again`: queued for another attempt."""

    enqueued: int
    done: int
    dead: int
    finished: bool
    run: int
    reaped: int
    again: frozenset[bytes]
    leased: dict[str, frozenset[bytes]]
    alive: tuple[str, ...]
    unbalanced: str
    """How counters and keys disagree; empty where they agree."""

    def held_by(self, pid: int) -> frozenset[bytes]:
        """What the process `pid` has leased."""
        return frozenset().union(*(held for name, held in self.leased.items() if f":{pid}:" in name))

    def has_joined(self, pid: int) -> bool:
        """Whether the process `pid` takes part."""
        return any(f":{pid}:" in name for name in self.alive)


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter: the URL it is about and why."""

    url: str
    reason: str

    @property
    def page(self) -> int | None:
        """The page of the graph that it is about, if any."""
        return page_of(self.url)


class Observer:
    """Looks at one crawl; None where Redis doesn't answer. What it answers with an error is raised."""

    def __init__(self, port: int, crawl: str) -> None:
        self.client = redis.Redis("127.0.0.1", port, socket_timeout=0.5, retry=Retry(NoBackoff(), 0))
        self._tag = f"{{{crawl}}}"

    def look(self) -> Look | None:
        """The crawl at this moment."""
        try:
            return _read(self.client.eval(_LOOK, 1, self._tag))
        except (redis.ConnectionError, redis.TimeoutError):
            return None

    def letters(self) -> list[Letter]:
        """All dead letters."""
        entries: list[Any] = self.client.xrange(f"{self._tag}:dead")
        return [Letter(_url_of(fields[b"payload"]), fields[b"reason"].decode()) for _, fields in entries]

    def left_over(self) -> list[str]:
        """Keys that a crawl which has ended in order does not leave.

        It does leave, for each list of start URLs, the number of its last claim, and for a while what it
        knows of hosts and what there is to be deleted in MongoDB.
        """
        kept = {f"{self._tag}:{name}" for name in ("meta", "dead", "policy", "returned", "inside")}
        left = {key.decode() for key in self.client.scan_iter("*", count=1000)} - kept
        left = {key for key in left if not key.startswith((f"{self._tag}:manners:", f"{self._tag}:robots"))}
        return sorted(key for key in left if ":claims:" not in key or self.client.hkeys(key) != [b"last"])


def _read(reply: list[Any]) -> Look:
    meta, counted, again, workers, alive = reply
    enqueued, done, queued, leased, dead, finished, run, reaped, _ = meta
    facts = {
        "enqueued is not done + queued + leased + dead": (enqueued, done + queued + leased + dead),
        "queued": (queued, counted[0]),
        "leased": (leased, counted[1]),
        "dead": (dead, counted[2]),
        "hosts that don't know of their queues": (counted[3], 0),
        "active over all hosts": (leased - counted[5], counted[4]),
    }
    return Look(
        *(enqueued, done, dead, finished == 1, run, reaped, frozenset(again)),
        leased={name.decode(): frozenset(held) for name, held in workers},
        alive=tuple(name.decode() for name in alive),
        unbalanced="; ".join(f"{name}: {a} against {b}" for name, (a, b) in facts.items() if a != b),
    )


def _url_of(payload: bytes) -> str:
    try:
        return decode(payload).url
    except BadPayload:
        return payload.decode(errors="replace")


def page_of(url: str) -> int | None:
    """The number of a page of the graph, None for any other URL."""
    found = re.search(r"/graph/(\d+)(?:\?|$)", url)
    return int(found[1]) if found else None
