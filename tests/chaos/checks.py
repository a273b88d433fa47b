"""What must hold when a crawl has ended, whatever went wrong in its midst."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from deploy.local.practice_site import graph_links

from .crawl_run import CrawlRun, is_closed_well
from .faults_mongo import OLD
from .fleet import FINISHED
from .look import page_of

_TAKES_OVER_S = 1.0
"""From the end of a lease until others have all that it held: they ask four times a second, or when a
page is done."""


@dataclass
class Verdict:
    """How a crawl went. `expected`: pages that could be reached; `twice`: documents too many."""

    expected: int = 0
    stored: int = 0
    dead: int = 0
    lost: list[int] = field(default_factory=list)
    twice: int = 0
    fetched: int = 0
    refetched: int = 0
    recoveries_s: list[float] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def judge(run: CrawlRun) -> Verdict:
    """Holds a crawl that has ended against the promises. No promise is broken without a problem."""
    verdict = Verdict()
    run.letters = run.observer.letters()
    verdict.problems += _page_problems(run, verdict)
    verdict.problems += _start_problems(run)
    visits = run.visits()
    verdict.fetched, verdict.refetched = len(visits), len(visits) - len(set(visits))
    undisturbed = (recovery for recovery in run.recoveries if not recovery.disturbed)
    verdict.recoveries_s = [recovery.took_s for recovery in undisturbed if recovery.took_s is not None]
    verdict.problems += [
        *_end_problems(run),
        *_frontier_problems(run),
        *_log_problems(run),
        *(problem for fault in run.injected for problem in fault.problems()),
    ]
    return verdict


def _page_problems(run: CrawlRun, verdict: Verdict) -> Iterator[str]:
    """Each page that stored ones lead to is stored, or a dead letter that a fault explains."""
    documents = list(run.database["pages"].find({}, {"url": 1, "status": 1}))
    urls = Counter(document["url"] for document in documents)
    stored = {page_of(d["url"]): d["status"] for d in documents if d["status"] != OLD}
    dead = {letter.page: letter.reason for letter in run.letters}
    run.reached = reachable(run.scale.pages, {page for page, status in stored.items() if status == 200})
    verdict.lost = sorted(run.reached - stored.keys() - dead.keys())
    verdict.expected, verdict.dead = len(run.reached), len(dead)
    verdict.stored, verdict.twice = len(urls), sum(urls.values()) - len(urls)
    if verdict.lost:
        yield f"{len(verdict.lost)} pages are lost: {verdict.lost[:10]}"
    if verdict.twice:
        yield f"{verdict.twice} documents are there twice"
    for page, status in stored.items():
        if page is not None and not _explains_status(run, page, status):
            yield f"page {page} was stored with the status {status}"
    for page, reason in dead.items():
        if not any(fault.explains_death(page, reason) for fault in run.faults):
            yield f"page {page} is a dead letter, and no fault explains why: {reason}"


def _start_problems(run: CrawlRun) -> Iterator[str]:
    """A site that is ill is so to pages without a number as well, which can't be told apart."""
    if any(fault.target == "site" for fault in run.faults):
        return
    found = run.database["pages"].distinct("url", {"url": {"$in": run.pushed}})
    if lost := sorted(set(run.pushed) - set(found) - {letter.url for letter in run.letters}):
        yield f"{len(lost)} pushed start URLs are lost: {lost[:5]}"


def _explains_status(run: CrawlRun, page: int, status: int) -> bool:
    return status == 200 or any(fault.explains_status(page, status) for fault in run.faults)


def reachable(pages: int, read: set[int | None]) -> set[int]:
    """The pages to which page 0 leads over those that were `read`."""
    reached, ahead = {0}, [0]
    while ahead:
        page = ahead.pop()
        if page in read:
            links = set(graph_links(page, pages)) - reached
            reached |= links
            ahead += links
    return reached


def _end_problems(run: CrawlRun) -> Iterator[str]:
    if run.overdue:
        yield f"the crawl did not end within {run.scale.limit_s:g} s: {run.last}"
    if len(run.faults) == 1 and run.never_begun:
        yield f"the crawl was too short for {run.never_begun[0]}"
    for worker in run.fleet:
        if not is_closed_well(worker) and worker.reason != "memusage_exceeded":
            yield f"{worker.log.name} was closed as {worker.reason!r}"
    if not any(worker.reason == FINISHED for worker in run.fleet):
        yield "no worker ended as finished"


def _frontier_problems(run: CrawlRun) -> Iterator[str]:
    for unbalanced in run.unbalanced[:5]:
        yield f"counters and keys disagreed: {unbalanced}"
    look = run.observer.look()
    if look is None or not look.finished:
        yield f"Redis does not say that the crawl is finished: {look}"
        return
    if look.unbalanced:
        yield f"counters and keys disagree at the end: {look.unbalanced}"
    if look.run != 1:
        yield f"the crawl was started {look.run} times"
    if left := run.observer.left_over():
        yield f"keys were left: {', '.join(left[:10])}"
    for recovery in run.recoveries:
        if recovery.took_s is None:
            yield f"what process {recovery.pid} held was not seen leased again"
        elif not recovery.disturbed and recovery.took_s > run.scale.lease_s + _TAKES_OVER_S:
            yield f"recovery took {recovery.took_s:.1f} s"


def _log_problems(run: CrawlRun) -> Iterator[str]:
    for worker in run.fleet.all:
        for entry in dict.fromkeys(worker.tracebacks()):
            if not any(fault.explains_traceback(entry) for fault in run.faults):
                yield f"{worker.log.name} has a traceback: {entry}"
