"""The chaos suite's long form: one seeded crawl after the other, and a table of what came of them.

    python -m tests.chaos.run [--runs 100] [--minutes 60] [--seed 1] [--stock]

Run n has the seed `--seed` + n, and `--runs 1 --seed` with it is the same choice of faults and moments.
"""

from __future__ import annotations

import argparse
import random
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from crawlers.settings import FRONTIER_LEASE_TTL_S
from deploy.local.binaries import ServerError
from deploy.local.servers import DATA, stop_on_signals

from .checks import judge
from .crawl_run import CrawlRun, Scale
from .fault import Fault
from .faults import FAULTS, mixture
from .faults_worker import PAGE_FAULTS, Kill
from .outcome import Outcome
from .report import outcome_line, print_table, write_json
from .servers import Servers, chaos_servers
from .stock_run import StockRun

LOGS = DATA / "chaos"
_DEFAULT_LEASE_EVERY = 10
"""Every so many-th run has the default lease and a worker that is killed, with all servers well, so that the
time to recover is known."""
_ALONE_EVERY = 3
"""In every so many-th run a worker by itself, with all slots of the site, leases ahead; a supervisor starts
it again."""


def scale_of(rng: random.Random, seed: int) -> Scale:
    """How large the run with this seed is."""
    fsync = rng.choice(("everysec", "always"))
    pages = rng.choice((1000, 2000, 3000))
    if seed % _DEFAULT_LEASE_EVERY == _DEFAULT_LEASE_EVERY - 1:
        return Scale(pages, lease_s=FRONTIER_LEASE_TTL_S, limit_s=240, appendfsync=fsync)
    scale = Scale(pages, lease_s=2, outage_s=rng.choice((1, 2, 4, 10)), limit_s=240, appendfsync=fsync)
    is_alone = seed % _ALONE_EVERY == _ALONE_EVERY - 1
    return replace(scale, workers=1, host_limit=4) if is_alone else scale


def choose(rng: random.Random, seed: int, stock: bool) -> list[type[Fault]]:
    """The faults of the run with this seed: in stock mode each in turn, else three to six at random."""
    if stock:
        applicable = [fault for fault in FAULTS.values() if fault.for_stock]
        return [applicable[seed % len(applicable)]]
    if seed % _DEFAULT_LEASE_EVERY == _DEFAULT_LEASE_EVERY - 1:
        return [Kill, rng.choice(PAGE_FAULTS)]
    return mixture(rng, rng.randint(3, 6))


def run_one(servers: Servers, seed: int, stock: bool) -> Outcome:
    """The crawl of one seed. Its logs stay where it shows a problem."""
    rng = random.Random(seed)
    scale = Scale(1000, limit_s=120) if stock else scale_of(rng, seed)
    kinds = choose(rng, seed, stock)
    folder = LOGS / f"run-{seed}"
    shutil.rmtree(folder, ignore_errors=True)
    began_s = time.monotonic()
    with CrawlRun(servers, folder / "ours", scale, kinds, str(seed)) as run:
        run.crawl()
        verdict = judge(run)
        faults = [fault.name for fault in run.injected]
    lost = None
    if stock:
        with StockRun(servers, folder / "stock", scale, kinds, str(seed)) as stock_run:
            stock_run.crawl()
            lost = len(stock_run.lost())
    if not verdict.problems:
        shutil.rmtree(folder)
    return Outcome(seed, scale, faults, time.monotonic() - began_s, verdict, lost)


def runs(options: argparse.Namespace) -> Iterator[Outcome]:
    """As many as were asked for and the time allows."""
    deadline = time.monotonic() + options.minutes * 60
    with tempfile.TemporaryDirectory(prefix="chaos-", dir=DATA) as folder, chaos_servers(Path(folder)) as at:
        for number in range(options.runs):
            if time.monotonic() > deadline:
                return
            yield run_one(at, options.seed + number, options.stock)


def main() -> int:
    """Runs them, prints a line for each and a table at the end; returns 1 if any showed a problem."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.run", description=__doc__)
    parser.add_argument("--runs", type=int, default=1000, help="at most so many")
    parser.add_argument("--minutes", type=float, default=60, help="none is begun later")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000), help="of the first run")
    parser.add_argument("--stock", action="store_true", help="one fault a run, and stock scrapy-redis beside")
    options = parser.parse_args()
    stop_on_signals()
    DATA.mkdir(exist_ok=True)
    print(f"Seed {options.seed}", flush=True)
    outcomes: list[Outcome] = []
    try:
        for outcome in runs(options):
            outcomes.append(outcome)
            print(outcome_line(outcome), flush=True)
            write_json(outcomes)
    except ServerError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted.")
    print_table(outcomes)
    return 1 if any(outcome.verdict.problems for outcome in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
