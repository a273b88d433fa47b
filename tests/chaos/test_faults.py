"""Whatever goes wrong: no page is lost, no document is there twice, and the crawl ends by itself.

`CHAOS_SEED=…` repeats what was left to chance; a test that fails names it. The long form, with larger
crawls and more faults in each, is `python -m tests.chaos.run`.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from .checks import judge
from .crawl_run import CrawlRun, Scale
from .fault import Fault
from .faults import FAULTS, mixture
from .servers import Servers

MIXTURES = 2


def assert_survives(
    servers: Servers, folder: Path, scale: Scale, faults: Sequence[type[Fault]], seed: str
) -> None:
    """A crawl in whose midst these faults happen keeps every promise."""
    # Given workers of a crawl, and faults at moments that the seed chooses
    with CrawlRun(servers, folder / "run", scale, faults, f"{seed} {folder.name}") as run:
        # When they crawl to the end
        run.crawl()

        # Then every page is stored once or dead for a reason, and nothing is left over
        problems = judge(run).problems
    names = ", ".join(fault.name for fault in faults)
    assert not problems, "\n".join([f"CHAOS_SEED={seed}, {names}, logs in {run.folder}:", *problems])


@pytest.mark.parametrize("name", FAULTS)
def test_a_crawl_survives(name: str, servers: Servers, tmp_path: Path, seed: str) -> None:
    assert_survives(servers, tmp_path, Scale(), [FAULTS[name]], seed)


def test_a_worker_that_leases_ahead_may_die(servers: Servers, tmp_path: Path, seed: str) -> None:
    faults = [FAULTS["kill -9"], FAULTS["Redis replies delayed and lost"]]
    assert_survives(servers, tmp_path, Scale(workers=1, host_limit=4), faults, seed)


@pytest.mark.parametrize("number", range(MIXTURES))
def test_a_crawl_survives_a_mixture_of_faults(
    number: int, servers: Servers, tmp_path: Path, seed: str
) -> None:
    faults = mixture(random.Random(f"{seed} {number}"), 4)
    assert_survives(servers, tmp_path, Scale(pages=600, limit_s=90), faults, seed)
