"""All faults by name, and mixtures of them."""

from __future__ import annotations

import random

from .fault import Fault
from .faults_mongo import MONGO_FAULTS
from .faults_redis import REDIS_FAULTS, RedisForgetsTheStart
from .faults_site import SITE_FAULTS
from .faults_worker import WORKER_FAULTS, FreezeToTheEnd

_KINDS = (WORKER_FAULTS, REDIS_FAULTS, MONGO_FAULTS, SITE_FAULTS)
# What they are about is the end and the start of a crawl, so that nothing else may be on.
_ALONE: tuple[type[Fault], ...] = (FreezeToTheEnd, RedisForgetsTheStart)

FAULTS: dict[str, type[Fault]] = {fault.name: fault for kind in _KINDS for fault in kind}


def mixture(rng: random.Random, number: int) -> list[type[Fault]]:
    """So many different faults: the first at a worker, the second at Redis, the others anywhere."""
    workers, redis = ([fault for fault in kind if fault not in _ALONE] for kind in _KINDS[:2])
    chosen = [rng.choice(workers), rng.choice(redis)][:number]
    rest = [fault for fault in FAULTS.values() if fault not in (*_ALONE, *chosen)]
    return [*chosen, *rng.sample(rest, number - len(chosen))]
