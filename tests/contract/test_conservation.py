"""Whatever happens in whatever order, each request is in one place, and none is ever lost.

Hypothesis lets workers join, exchange, lose replies, die and leave at random on a real Redis. After each
step all keys are recounted and compared with the counters, and with a model that knows each request.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import redis
from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from crawlers.frontier import Batch, Failed, Found, Lease, Member, Refused, Reply

from .crawl import LONG_MS, Recount, open_crawl

HOSTS = ["a.example", "b.example", "c.example"]
MAX_ATTEMPTS = 3
MISHAPS = [
    "its time runs out",
    "it leaves",
    "it leaves and speaks later",
    "another one drops the crawl",
    "its reply was lost",
    "Redis loses its last exchange",
    "Redis loses its scripts",
    "the delays pass",
]

_seats = st.integers(0, 2)
_links = st.tuples(st.sampled_from(HOSTS), st.integers(-1, 1), st.none() | st.integers(0, 20))


@dataclass(slots=True)
class Player:
    """A worker of the model: what it holds, and the exchange of which it has lost the reply.

    `out`: it has left, or Redis has lost its last exchange, so that it must be fenced.
    """

    member: Member
    held: dict[int, Lease] = field(default_factory=dict)
    spares: dict[str, int] = field(default_factory=dict)
    lost: tuple[bytes, Reply] | None = None
    out: bool = False


class Conservation(RuleBasedStateMachine):
    """The model: which requests there are, which of them are done, and which fingerprints were seen.

    Three seats for workers; who is fenced gets up, and another one may sit down.
    """

    def __init__(self, url: str, client: redis.Redis, name: str) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.crawl = open_crawl(url, name, client)
        self.seats: dict[int, Player] = {}
        self.last_link = 0
        self._begin()

    def _begin(self) -> None:
        self.entered: set[bytes] = set()
        self.done: set[bytes] = set()
        self.seen: set[int] = set()

    def teardown(self) -> None:
        self.runner.run(self.crawl.frontier.client.aclose())
        self.runner.close()

    # What may happen -----------------------------------------------------------------------------------

    @initialize(limit=st.integers(0, 3), delay_ms=st.sampled_from([0, 0, LONG_MS]), persist=st.booleans())
    def terms(self, limit: int, delay_ms: int, persist: bool) -> None:
        """All workers of a run have the same terms."""
        self._terms: dict[str, Any] = {"limit": limit, "delay_ms": delay_ms, "persist": persist}
        self.limit = limit

    @rule(
        seat=_seats,
        links=st.lists(_links, max_size=6),
        outcomes=st.lists(st.sampled_from(["done", "done", "failed", "final"]), max_size=4),
        refused=st.booleans(),
        want=st.integers(0, 6),
        spares=st.booleans(),
        idle=st.booleans(),
        lose_reply=st.booleans(),
    )
    def exchange(
        self,
        seat: int,
        links: list[tuple[str, int, int | None]],
        outcomes: list[str],
        refused: bool,
        want: int,
        spares: bool,
        idle: bool,
        lose_reply: bool,
    ) -> None:
        """Something of everything that a worker may say."""
        player = self._send_again(seat)
        # A worker knows what it has handed in, so that no fingerprint comes twice at once.
        once = {link[2] if link[2] is not None else object(): link for link in links}
        batch = Batch([self._found(*link) for link in once.values()], want=want, idle=idle)
        for lease, outcome in zip(player.held, outcomes, strict=False):
            if outcome == "done":
                batch.done.append(lease)
            else:
                batch.failed.append(Failed(lease, "broken", final=outcome == "final"))
        batch.done.append(-1)
        if spares:
            ended = {*batch.done, *(failed.lease for failed in batch.failed)}
            batch.spares = self._slots_left(player, ended)
        if refused:
            batch.refused.append(Refused("start_urls", self._new_payload(), "it is no URL"))
        prepared = player.member.prepare(batch)
        reply = self.runner.run(player.member.send(prepared))
        assert reply.fenced or not player.out
        if reply.fenced:
            del self.seats[seat]
        else:
            self._apply(player, batch, reply)
            player.lost = (prepared, reply) if lose_reply else None

    @rule(seat=_seats)
    def work(self, seat: int) -> None:
        """A worker does all that it has, takes more, and has nothing to bring."""
        self.exchange(seat, [], ["done"] * 9, refused=False, want=6, spares=True, idle=True, lose_reply=False)

    @rule(seat=_seats, mishap=st.sampled_from(MISHAPS))
    def suffer(self, seat: int, mishap: str) -> None:
        """What happens to workers and to Redis."""
        player = self._seated(seat)
        match mishap:
            case "its time runs out":  # it may yet speak before anybody notices, or after
                self.crawl.redis.zadd(f"{self.crawl.tag}:workers", {player.member.name: 1}, xx=True)
            case "it leaves":
                self._leave(seat)
            case "it leaves and speaks later":
                self._leave(seat)
                self.seats[seat] = player
            case "another one drops the crawl":
                self._leave(seat)
                self._seated(seat, flush=True)
            case "its reply was lost":
                self._send_again(seat)
            case "Redis loses its last exchange":
                self._lose_a_write(player)
            case "Redis loses its scripts":
                self.crawl.redis.script_flush()
            case "the delays pass":
                self.crawl.let_delays_pass()

    def _seated(self, seat: int, *, flush: bool = False) -> Player:
        """The worker at `seat`, which joins now if there is none."""
        if seat not in self.seats:
            finished = self.runner.run(self.crawl.frontier.status()).finished
            terms = {**self._terms, "max_attempts": MAX_ATTEMPTS}
            self.seats[seat] = Player(self.runner.run(self.crawl.join(flush=flush, **terms)))
            alone = len(self.runner.run(self.crawl.frontier.status()).workers) == 1
            if (finished and not self._terms["persist"]) or (flush and alone):
                self._begin()
        return self.seats[seat]

    def _send_again(self, seat: int) -> Player:
        """The same bytes have the same answer, or none if the worker has been taken for dead since."""
        player = self._seated(seat)
        if player.lost:
            prepared, lost = player.lost
            before = self.crawl.recount()
            again = self.runner.run(player.member.send(prepared))
            assert again.fenced or (again.leases == lost.leases and not player.out)
            assert self.crawl.recount() == before
            player.lost = None
        return player

    def _leave(self, seat: int) -> None:
        player = self.seats.pop(seat)
        if self.runner.run(player.member.leave()) and not self._terms["persist"]:
            self.seen.clear()
        player.out = True

    def _lose_a_write(self, player: Player) -> None:
        key = f"{self.crawl.base}:worker:{player.member.name}"
        if not player.lost and self.crawl.redis.exists(key):
            self.crawl.redis.hincrby(key, "sequence", -1)
            player.out = True

    def _slots_left(self, player: Player, ended: set[int]) -> list[tuple[str, int]]:
        """As a worker counts them: of its leases of a host the last have no slot, as many as its spares."""
        left = []
        for host in HOSTS:
            held = [lease for lease in player.held.values() if lease.host == host]
            over = sum(lease.id in ended for lease in held)
            spares = max(0, player.spares.get(host, 0) - over)
            left.append((host, len(held) - over - spares))
        return left

    # The model -----------------------------------------------------------------------------------------

    def _new_payload(self) -> bytes:
        self.last_link += 1
        return b"link %d" % self.last_link

    def _found(self, host: str, priority: int, fingerprint: int | None) -> Found:
        return Found(fingerprint, host, priority, self._new_payload())

    def _apply(self, player: Player, batch: Batch, reply: Reply) -> None:
        for found in batch.found:
            if found.fingerprint is None or found.fingerprint not in self.seen:
                self.entered.add(found.payload)
            if found.fingerprint is not None:
                self.seen.add(found.fingerprint)
        self.entered.update(refused.payload for refused in batch.refused)
        for lease in (*batch.done, *(failed.lease for failed in batch.failed)):
            ended = player.held.pop(lease, None)
            if ended and lease in batch.done:
                self.done.add(ended.payload)
        player.held |= {lease.id: lease for lease in reply.leases}
        player.spares = reply.spares

    @invariant()
    def all_is_accounted_for(self) -> None:
        count = self.crawl.recount()
        self._each_request_is_in_one_place(count)
        self._the_counters_are_what_the_keys_hold(count)
        self._the_hosts_know_what_they_have(count)

    def _each_request_is_in_one_place(self, count: Recount) -> None:
        everywhere = count.queued + count.leased + count.dead + Counter(self.done)
        assert everywhere == Counter(self.entered)

    def _the_counters_are_what_the_keys_hold(self, count: Recount) -> None:
        status = self.runner.run(self.crawl.frontier.status())
        assert status.enqueued == status.done + status.queued + status.leased + status.dead
        assert (status.enqueued, status.done) == (len(self.entered), len(self.done))
        kept = [part.total() for part in (count.queued, count.leased, count.dead)]
        assert [status.queued, status.leased, status.dead] == kept
        assert status.leased == sum(worker.leased for worker in status.workers)
        spares = int(self.crawl.redis.hget(f"{self.crawl.tag}:meta", "spares") or 0)
        assert spares == count.spares
        for player in self.seats.values():
            slots = Counter(lease.host for lease in player.held.values())
            assert all(slots[host] > number for host, number in player.spares.items())

    def _the_hosts_know_what_they_have(self, count: Recount) -> None:
        base = self.crawl.base
        with self.crawl.redis.pipeline(transaction=False) as pipe:
            for host in HOSTS:
                pipe.hget(f"{base}:hosts", host)
                pipe.zscore(f"{base}:ready", host)
                pipe.zrange(f"{base}:priorities:{host}", 0, -1, withscores=True)
            answers = iter(pipe.execute())
        for host, record, ready, known in zip(HOSTS, answers, answers, answers, strict=True):
            work = (record or b"0 -").decode().split()
            active, only, queued = int(work[0]), work[1], count.queued_of[host]
            assert (only != "-") == (queued > 0)
            assert active == count.active_of[host]
            assert self.limit == 0 or active <= self.limit
            has_room = self.limit == 0 or active < self.limit
            assert (ready is not None) == (queued > 0 and has_room)
            several = count.priorities_of.get(host, set()) if only == "*" else set()
            assert {int(priority): score for priority, score in known} == {p: -p for p in several}
            if only != "*":
                assert count.priorities_of.get(host, set()) == (set() if only == "-" else {int(only)})


def test_each_request_is_in_one_place_whatever_happens(
    redis_url: str, redis_client: redis.Redis, crawl_name: str
) -> None:
    # Given a seed that can be given again, and a crawl for each of its stories
    number = int(os.environ.get("CONSERVATION_SEED") or secrets.randbelow(2**32))
    print(f"CONSERVATION_SEED={number}")
    stories = iter(range(1_000_000))

    @seed(number)
    def story() -> Conservation:
        return Conservation(redis_url, redis_client, f"{crawl_name}-{next(stories)}")

    # When anything happens, then the invariants hold after each step
    many = settings(
        max_examples=40,
        stateful_step_count=30,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    run: Callable[..., None] = run_state_machine_as_test
    run(story, settings=many)
