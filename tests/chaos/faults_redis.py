"""Redis stopped, killed, frozen, cut off, full, demoted, forgetful, and behind a line that loses replies."""

from __future__ import annotations

import asyncio
import random
import shutil
from contextlib import suppress

import redis

from .fault import Fault, Outage, Plan
from .proxy import Honest, Line

_LEAVES = 300
# Workers have run the start of their spider so long after they joined.
_START_S = 0.3


class _RedisFault(Outage):
    target = "redis"
    for_stock = True


class RedisRestart(_RedisFault):
    """It ends in order and comes back with what its AOF holds."""

    name = "Redis restarted"
    least_share = 0.3

    def inject(self) -> None:
        self.run.redis.stop()

    def end(self) -> None:
        self.run.redis.start()


class RedisKill(RedisRestart):
    """`kill -9`: it comes back with what it gave to the kernel, which is all that it acknowledged."""

    name = "Redis kill -9"

    def inject(self) -> None:
        self.run.redis.kill()


class RedisPause(_RedisFault):
    """Frozen: connections stay open and nothing is answered, for longer than the workers' timeout."""

    name = "Redis paused"

    def inject(self) -> None:
        self.run.redis.pause()

    def end(self) -> None:
        self.run.redis.resume()


class ConnectionsCut(_RedisFault):
    """All connections, again and again."""

    name = "Redis connections cut"

    def inject(self) -> None:
        self.run.observer.client.execute_command("CLIENT", "KILL", "TYPE", "normal")

    def is_over(self, elapsed_s: float) -> bool:
        with suppress(redis.RedisError):
            self.inject()
        return super().is_over(elapsed_s)


class ScriptsFlushed(_RedisFault):
    """Redis forgets the scripts that workers call by their digests."""

    name = "Redis scripts flushed"

    def inject(self) -> None:
        self.run.observer.client.script_flush()


class RedisFull(_RedisFault):
    """Less memory is allowed than is taken."""

    name = "Redis maxmemory"

    def inject(self) -> None:
        self.run.observer.client.config_set("maxmemory", "100kb")

    def end(self) -> None:
        self.run.observer.client.config_set("maxmemory", "0")


class RedisReplica(_RedisFault):
    """A replica for a while, as after a failover: read-only. Nobody listens where its primary should be."""

    name = "Redis read-only replica"

    def inject(self) -> None:
        self.run.observer.client.execute_command("REPLICAOF", "127.0.0.1", "1")

    def end(self) -> None:
        self.run.observer.client.execute_command("REPLICAOF", "NO", "ONE")


class _Loses(Honest):
    """Each reply comes 5 ms late, and some never: the server has done what was asked for."""

    def __init__(self, chance: float, rng: random.Random) -> None:
        self._chance = chance
        self._rng = rng

    async def reply(self, chunk: bytes, line: Line) -> None:
        await asyncio.sleep(0.005)
        if self._rng.random() < self._chance:
            line.cut(reset=self._rng.random() < 0.5)
        else:
            line.client.write(chunk)


class RepliesLost(_RedisFault):
    """Exchanges are sent again though they had their effect."""

    name = "Redis replies delayed and lost"

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        plan.redis_proxy = True
        self.at = plan.rng.uniform(0, 0.3)
        self.manner = _Loses(0.2, random.Random(plan.rng.random()))

    def inject(self) -> None:
        assert self.run.redis_proxy is not None
        self.run.redis_proxy.manner = self.manner

    def end(self) -> None:
        assert self.run.redis_proxy is not None
        self.run.redis_proxy.manner = Honest()


class RedisForgets(_RedisFault):
    """`kill -9`, and the writes of the last second had not reached the disk: the worst of `everysec`."""

    name = "Redis kill -9 without its last second"

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        self.at = plan.rng.uniform(0.05, 0.5)
        self.lasts_s = 1

    def is_over(self, elapsed_s: float) -> bool:
        return self.run.share_done > 0.8 or super().is_over(elapsed_s)

    def inject(self) -> None:
        # They are claimed in the second that is forgotten.
        self.run.push_start_urls()
        self.kept = self.run.folder / f"aof-{id(self)}"
        shutil.copytree(self.run.redis.folder, self.kept)

    def end(self) -> None:
        self.run.redis.kill()
        shutil.rmtree(self.run.redis.folder)
        shutil.copytree(self.kept, self.run.redis.folder)
        self.run.redis.start()


class RedisGoesBack(RedisForgets):
    """It is what it was 4 s ago, as after the failover to a replica that lagged behind."""

    name = "Redis goes back by 4 s"
    for_stock = False

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        self.at = plan.rng.uniform(0.05, 0.2)
        self.lasts_s = 4


class RedisForgetsTheStart(RedisForgets):
    """The same in the first second of the crawl, with its start URLs in it, to which nothing leads."""

    name = "Redis kill -9 without the first second"
    for_stock = False

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        self.at = 0
        self.leaves = [f"traps/leaf/start-{number}" for number in range(_LEAVES)]
        plan.urls += self.leaves
        self.all_joined_s = 0.0

    def is_over(self, elapsed_s: float) -> bool:
        look = self.run.last
        if look is not None and all(look.has_joined(worker.pid) for worker in self.run.fleet):
            self.all_joined_s = self.all_joined_s or elapsed_s
        return 0 < self.all_joined_s < elapsed_s - _START_S

    def problems(self) -> list[str]:
        urls = [f"{self.run.site_url}{leaf}" for leaf in self.leaves]
        stored = {document["url"] for document in self.run.database["pages"].find({"url": {"$in": urls}})}
        lost = sorted(set(urls) - stored)
        return [f"{len(lost)} start URLs are lost: {lost[:5]}"] if lost else []


REDIS_FAULTS: tuple[type[Fault], ...] = (
    *(RedisRestart, RedisKill, RedisPause, ConnectionsCut, ScriptsFlushed),
    *(RedisFull, RedisReplica, RepliesLost, RedisForgets, RedisGoesBack, RedisForgetsTheStart),
)
