"""Workers that end, freeze, starve, or meet pages that do them harm."""

from __future__ import annotations

import resource
import signal

from .fault import Fault, PageFault, Plan
from .fleet import FleetWorker
from .spider import Deed


class _WorkerFault(Fault):
    target = "worker"
    for_stock = True
    victim: FleetWorker


class Term(_WorkerFault):
    """It finishes what it holds, gives back the rest and ends."""

    name = "SIGTERM"
    deaths = 1
    number = signal.SIGTERM

    def inject(self) -> None:
        self.victim = self.run.victim()
        self.victim.spent = True
        self.victim.signal(self.number)


class Interrupt(Term):
    """The same as Ctrl-C."""

    name = "SIGINT"
    number = signal.SIGINT
    # Python's own, of a worker that has only begun to start.
    tracebacks = r"^before the first entry$"


class TermTwice(Term):
    """It has no time to give anything back."""

    name = "SIGTERM twice"

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        self.lasts_s = 0.05

    def end(self) -> None:
        self.victim.signal(signal.SIGTERM)


class Kill(_WorkerFault):
    """Nothing is handed in and nothing given back."""

    name = "kill -9"
    deaths = 1

    def inject(self) -> None:
        victim = self.run.victim()
        victim.kill()
        self.run.expect_recovery(victim)


class Freeze(_WorkerFault):
    """A zombie: frozen until its leases are others', it goes on as if nothing had been."""

    name = "SIGSTOP, SIGCONT"

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        self.lasts_s = plan.lease_s + 1

    def inject(self) -> None:
        self.victim = self.run.victim()
        self.victim.pause()
        self.run.expect_recovery(self.victim)

    def end(self) -> None:
        self.victim.resume()


class FreezeToTheEnd(Freeze):
    """It goes on when the others have finished the crawl and are gone."""

    name = "SIGSTOP to the end"
    for_stock = False

    def is_over(self, elapsed_s: float) -> bool:
        others = (worker for worker in self.run.fleet if worker is not self.victim)
        return super().is_over(elapsed_s) and not any(worker.running for worker in others)


class Raises(PageFault):
    """A bug that some pages show again and again."""

    name = "callback raises"
    number = 5
    deed = Deed("raise")
    death_reason = "callback raised ValueError: chaos"
    tracebacks = "Spider error processing"

    def problems(self) -> list[str]:
        dead = {letter.page for letter in self.run.letters}
        missing = (page for page in self.pages & self.run.reached - dead if not self.run.is_dropped(page))
        return [f"{self.name}: page {page} is no dead letter" for page in missing]


class RaisesOnce(PageFault):
    """A bug that comes and goes."""

    name = "callback raises once"
    number = 5
    deed = Deed("raise", times=1)
    tracebacks = Raises.tracebacks


class Blocks(PageFault):
    """A callback that holds its worker up for longer than the lease."""

    name = "callback blocks"

    def __init__(self, plan: Plan) -> None:
        self.deed = Deed("block", plan.lease_s * 1.5 + 0.5, times=1)
        super().__init__(plan)


class Kills(PageFault):
    """A page that kills whoever fetches it."""

    name = "page kills its worker"
    deaths = 3
    deed = Deed("die")
    death_reason = "its worker died"
    problems = Raises.problems


class OutOfMemory(PageFault):
    """The process may not have any more: MemoryErrors in the callback, and after it anywhere."""

    name = "out of memory"
    deaths = 2
    deed = Deed("starve", 2, times=1)
    tracebacks = "."


class MemoryUsage(PageFault):
    """Scrapy's own watch closes a spider that has taken too much.

    Linux counts for a process what its parent had taken when it began: half a gigabyte with all tests.
    """

    name = "MEMUSAGE_LIMIT_MB"
    deaths = 1

    def __init__(self, plan: Plan) -> None:
        inherited_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        limit_mb = inherited_mb + 300
        self.deed = Deed("hoard", limit_mb, times=1)
        super().__init__(plan)
        plan.settings |= {"MEMUSAGE_LIMIT_MB": limit_mb, "MEMUSAGE_CHECK_INTERVAL_SECONDS": 0.2}


WORKER_FAULTS: tuple[type[Fault], ...] = (
    *(Term, TermTwice, Interrupt, Kill, Freeze, FreezeToTheEnd),
    *(Raises, RaisesOnce, Blocks, Kills, OutOfMemory, MemoryUsage),
)
PAGE_FAULTS: tuple[type[Fault], ...] = (Raises, RaisesOnce, OutOfMemory, MemoryUsage)
"""Of these, those that can be on beside others without a change to how long a lost lease is lost."""
