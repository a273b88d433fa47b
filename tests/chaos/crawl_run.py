"""One crawl with faults in its midst, from start to end."""

from __future__ import annotations

import json
import random
import secrets
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from pymongo.database import Database

from .fault import Fault, Plan
from .fleet import FINISHED, Fleet, FleetWorker
from .look import Letter, Look, Observer, page_of
from .proxy import HoldsBack, Proxy, proxy
from .servers import Client, Servers

_POLL_S = 0.03
_PUSHED = 20
_FREE_SHARE = 0.8
"""Of a site's pages, that may be had before its fault has begun: more than any fault waits for."""


@dataclass(frozen=True)
class Scale:
    """How large a crawl is. `host_limit`: most requests open at the site. `outage_s`: how long servers are
    away; `limit_s`: by when it must have ended.
    """

    pages: int = 600
    workers: int = 3
    host_limit: int = 1000
    delay_ms: int = 50
    lease_s: float = 2
    outage_s: float = 1.5
    limit_s: float = 60
    appendfsync: str = "everysec"


@dataclass
class Recovery:
    """What a worker held when it was lost, and how long until others had leased all of it again.

    `disturbed`: another server was at fault meanwhile, or the only worker is frozen, whom nobody replaces, so
    that the time says nothing.
    """

    pid: int
    lost: frozenset[bytes]
    since_s: float
    took_s: float | None = None
    disturbed: bool = False


@dataclass
class _Active:
    fault: Fault
    since_s: float


class CrawlRun:
    """A crawl of this project's: what faults act upon while it runs, and what is looked at afterwards.

    `seed` decides on all that is left to chance. Its logs are kept in the new `folder`.
    """

    def __init__(
        self, servers: Servers, folder: Path, scale: Scale, kinds: Sequence[type[Fault]], seed: str
    ) -> None:
        self.scale = scale
        self.folder = folder
        self.rng = random.Random(seed)
        self.plan = Plan(scale.pages, scale.lease_s, scale.outage_s, self.rng)
        self.faults = [kind(self.plan) for kind in kinds]
        for fault in self.faults:
            fault.run = self
        self.injected: list[Fault] = []
        self.pushed: list[str] = []
        self.recoveries: list[Recovery] = []
        self.unbalanced: list[str] = []
        self.letters: list[Letter] = []
        self.reached: set[int] = set()
        self.last: Look | None = None
        self.overdue = False
        self.redis_proxy: Proxy | None = None
        self.site_proxy: Proxy | None = None
        self._servers = servers
        self._name = f"chaos-{secrets.token_hex(4)}"
        self._pending = sorted(self.faults, key=lambda fault: fault.at)
        self._active: list[_Active] = []

    def __enter__(self) -> Self:
        self._stack = ExitStack()
        self.folder.mkdir(parents=True)
        self.redis = self._servers.redis(self.scale.appendfsync)
        self.mongo = self._servers.mongo_set() if self.plan.mongo_set else self._servers.mongo()
        self.observer = Observer(self.redis.port, self._name)
        self._stack.callback(self.observer.client.close)
        self.observer.client.flushall()
        self._mongo_client = self._stack.enter_context(Client(self.mongo.uri))
        self._stack.callback(self._mongo_client.drop_database, self._name)
        self.site = self._servers.site(self.scale.pages, self.scale.delay_ms)
        self._visits_before = len(self.site.visits())
        self._stand_between()
        deeds = {f"/graph/{page}": asdict(deed) for page, deed in self.plan.deeds.items()}
        (self.folder / "deeds.json").write_text(json.dumps(deeds))
        self.fleet = Fleet(self.new_worker, self.scale.workers, self.is_supervised)
        return self

    def _stand_between(self) -> None:
        """Puts the proxies that the faults need before the servers."""
        self.site_url, self._redis_port = self.site.url, self.redis.port
        if self.plan.redis_proxy:
            self.redis_proxy = self._stack.enter_context(proxy(self.redis.port))
            self._redis_port = self.redis_proxy.port
        if self.plan.site_proxy:
            port = int(self.site.url.rstrip("/").rpartition(":")[2])
            self.site_proxy = self._stack.enter_context(proxy(port))
            # What is done is told late, so that a fast crawl could have asked for all before its site fails.
            self.site_proxy.manner = HoldsBack(self.site_proxy, int(_FREE_SHARE * self.scale.pages))
            self.site_url = f"http://127.0.0.1:{self.site_proxy.port}/"

    def __exit__(self, *_: object) -> None:
        self.fleet.kill()
        for active in self._active:
            active.fault.end()
        self._stack.close()

    # What faults act upon ------------------------------------------------------------------------------

    @property
    def is_supervised(self) -> bool:
        """Whether workers that die are started again: where the others may not be enough."""
        return sum(fault.deaths for fault in self.faults) > 1 or self.scale.workers == 1

    @property
    def database(self) -> Database[dict[str, Any]]:
        """Where this crawl's documents are."""
        return self._mongo_client[self._name]

    @property
    def share_done(self) -> float:
        """How much of the site is done, from 0 to about 1."""
        return self.last.done / self.scale.pages if self.last else 0

    def victim(self) -> FleetWorker:
        """A worker that is up, one that holds leases if there is any."""
        up = [worker for worker in self.fleet if worker.is_up]
        look = self.observer.look()
        busy = [worker for worker in up if look and look.held_by(worker.pid)]
        return self.rng.choice(busy or up or list(self.fleet))

    def expect_recovery(self, worker: FleetWorker) -> None:
        """From now on: until others have leased again all that `worker` held."""
        look = self.observer.look()
        if look is not None and (lost := look.held_by(worker.pid)):
            alone = worker.frozen and self.scale.workers == 1
            self.recoveries.append(Recovery(worker.pid, lost, time.monotonic(), disturbed=alone))

    def push_start_urls(self) -> None:
        """Some more start URLs, to which no link leads, into the crawl's list."""
        first = len(self.pushed)
        urls = [f"{self.site_url}traps/leaf/pushed-{first + number}" for number in range(_PUSHED)]
        self.observer.client.rpush(f"{self._name}:start_urls", *urls)
        self.pushed += urls

    # The crawl -----------------------------------------------------------------------------------------

    def crawl(self) -> None:
        """The whole crawl, until its last worker has ended by itself or the time is up."""
        self.push_start_urls()
        self.fleet.start()
        deadline = time.monotonic() + self.scale.limit_s
        while not self.has_ended():
            if time.monotonic() > deadline:
                self.overdue = True
                break
            self.watch()
            self._end_and_begin_faults()
            self.fleet.supervise(self.is_finished())
            time.sleep(_POLL_S)

    def has_ended(self) -> bool:
        """Whether no worker runs or is to be started again."""
        return self.fleet.has_ended(self.is_finished())

    def is_finished(self) -> bool:
        """Whether Redis says so."""
        return self.last is not None and self.last.finished

    @property
    def never_begun(self) -> list[str]:
        """Faults for which the crawl was too short."""
        return [fault.name for fault in self._pending]

    def visits(self) -> list[int]:
        """The pages that were fetched, each as often as it was."""
        paths = (visit.path for visit in self.site.visits()[self._visits_before :])
        return [page for path in paths if (page := page_of(path)) is not None]

    def new_worker(self, number: int) -> FleetWorker:
        """A worker that is yet to be started."""
        urls = [f"{self.site_url}{path}" for path in ("graph/0", *self.plan.urls)]
        settings = {
            "SPIDER_MODULES": "tests.chaos.spider",
            "FRONTIER_LEASE_TTL_S": self.scale.lease_s,
            "CONCURRENT_REQUESTS": 8,
            "CONCURRENT_REQUESTS_PER_DOMAIN": self.scale.host_limit,
            # Shorter than an outage, so that exchanges do time out.
            "REDIS_PARAMS": json.dumps({"socket_timeout": self.scale.outage_s / 2}),
            **self.plan.settings,
        }
        arguments = ["crawl", "chaos", "-a", f"crawl={self._name}", "-a", f"url={','.join(urls)}"]
        arguments += ["-a", f"deeds={self.folder}/deeds.json"]
        arguments += [word for name, value in settings.items() for word in ("-s", f"{name}={value}")]
        environ = {
            "REDIS_URL": f"redis://127.0.0.1:{self._redis_port}/0",
            "MONGO_URI": self.mongo.uri,
            "MONGO_DATABASE": self._name,
        }
        return FleetWorker(arguments, self.folder / f"worker-{number}.log", environ)

    def watch(self) -> None:
        """Looks at Redis, and at what was lost."""
        look = self.observer.look()
        disturbed = any(active.fault.target in ("redis", "mongo", "site") for active in self._active)
        for recovery in self.recoveries:
            if recovery.took_s is None:
                recovery.disturbed = recovery.disturbed or disturbed
                if look and not recovery.lost & (look.again | look.held_by(recovery.pid)):
                    recovery.took_s = time.monotonic() - recovery.since_s
        if look is None:
            return
        self.last = look
        if look.unbalanced and look.unbalanced not in self.unbalanced:
            self.unbalanced.append(look.unbalanced)

    def _end_and_begin_faults(self) -> None:
        for active in list(self._active):
            if active.fault.is_over(time.monotonic() - active.since_s):
                active.fault.end()
                self._active.remove(active)
        at_fault = {active.fault.target for active in self._active}
        due = (f for f in self._pending if f.at <= self.share_done and f.target not in at_fault)
        if (fault := next(due, None)) is not None and not self.is_finished():
            self._pending.remove(fault)
            fault.inject()
            self.injected.append(fault)
            self._active.append(_Active(fault, time.monotonic()))


def is_closed_well(worker: FleetWorker) -> bool:
    """Whether a worker that nobody ended has ended because the crawl had."""
    return worker.running or worker.spent or worker.exit_status != 0 or worker.reason == FINISHED
