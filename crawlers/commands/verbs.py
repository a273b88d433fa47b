"""The verbs of `scrapy frontier`, each a function of the desk that returns the exit status."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass

from crawlers.frontier import operations, printable
from crawlers.frontier.operations import changing
from crawlers.frontier.operations.checking import Report

from .adding import add, forget
from .desk import Desk, Failed
from .moment import ago, counted, span
from .moving import export, import_
from .verdict import forget as forget_run
from .verdict import verdict
from .whereabouts import where

_ROWS = 20  # unless --limit says otherwise


@dataclass(frozen=True, slots=True)
class Verb:
    """A verb: what it does in a few words, its argument's name ("" for none, with … for several), and its own
    options.
    """

    run: Callable[[Desk], Awaitable[int]]
    does: str
    argument: str = ""
    options: frozenset[str] = frozenset()


async def status(desk: Desk) -> int:
    """The counters of the crawl."""
    figures = await operations.overview(desk.crawl)
    waiting = await operations.waiting_for(desk.crawl)
    if desk.opts.json:
        print(json.dumps({**figures, "waiting_for": list(map(asdict, waiting))}))
        return 0
    times = {name: figures.pop(f"{name}_ms") for name in ("started", "finished")}
    rows: list[tuple[str, str]] = [
        (name.replace("_", " "), value if isinstance(value, str) else f"{value:,}")
        for name, value in figures.items()
    ]
    now_ms = await desk.crawl.now_us() // 1000
    rows += [(name, ago(now_ms - when_ms)) for name, when_ms in times.items() if when_ms]
    rows += [("waiting for", f"{counted(each.pages, 'page')}: {each.said}") for each in waiting]
    desk.table(["what", ">figure"], rows, "")
    return 0


async def hosts(desk: Desk) -> int:
    """The hosts with work."""
    found = await operations.hosts(desk.crawl, _limit(desk))
    if desk.opts.json:
        print(json.dumps([asdict(host) for host in found]))
        return 0
    headings = ["host", ">queued", ">active", ">next", ">delay", "from", ">limit", "is"]
    rows = (
        (
            *(host.host, f"{host.queued:,}", host.active, _next(host), span(host.delay_ms) or "none"),
            *(host.given, host.limit or "none", _health(host)),
        )
        for host in found
    )
    desk.table(headings, rows, "No host has work.")
    return 0


def _health(host: operations.Host) -> str:
    if host.asleep_ms:
        return f"left alone for {span(host.asleep_ms)}: {host.why}"
    if host.failures:
        return f"failing, {host.failures} in a row"
    return "well, and has had all its pages" if host.spent else "well"


def _next(host: operations.Host) -> str:
    if host.due_ms is not None:
        return span(host.due_ms) or "now"
    return "when a page ends" if host.queued else "nothing queued"


async def workers(desk: Desk) -> int:
    """The live workers."""
    found = await operations.workers(desk.crawl)
    if desk.opts.json:
        print(json.dumps([asdict(worker) for worker in found]))
        return 0
    now_ms = await desk.crawl.now_us() // 1000
    rows = (
        (
            *(worker.name, f"{worker.done:,}", worker.leased, ago(now_ms - worker.joined_ms)),
            *(span(worker.expires_ms) if worker.expires_ms > 0 else "overdue", _mood(worker)),
        )
        for worker in found
    )
    desk.table(["worker", ">done", ">leased", ">joined", ">lease ends in", "is"], rows, "No worker is alive.")
    return 0


def _mood(worker: operations.WorkerState) -> str:
    words = [word for word, true in (("busy", worker.busy), ("hungry", worker.hungry)) if true]
    return ", ".join(words) or "at rest"


async def dead(desk: Desk) -> int:
    """The dead letters."""
    letters = operations.dead(desk.crawl, desk.opts.reason or "", _limit(desk))
    if desk.opts.json:
        print(json.dumps([asdict(letter) async for letter in letters]))
        return 0
    now_ms = await desk.crawl.now_us() // 1000
    rows = [
        (ago(now_ms - letter.when_ms), letter.host, letter.attempts, letter.url, letter.reason)
        async for letter in letters
    ]
    desk.table([">died", "host", ">attempts", "url", "reason"], rows, "There is no such dead letter.")
    return 0


async def retry_dead(desk: Desk) -> int:
    """Queues dead letters again."""
    finished = (await desk.crawl.meta()).get("finished")
    retried, skipped = await operations.retry_dead(desk.crawl, desk.opts.reason or "")
    sentence = f"Queued {counted(retried, 'request')} again."
    if skipped:
        sentence += f" Left {counted(skipped, 'dead letter')}, which never stood in a queue."
    if finished and retried:
        sentence += (
            " The crawl had finished, and goes on when a worker starts; seal it to have only these crawled."
        )
    desk.say(sentence, retried=retried, skipped=skipped)
    return 0


async def drop(desk: Desk) -> int:
    """Drops queued requests."""
    try:
        pattern = re.compile(desk.opts.argument)
    except re.error as error:
        raise Failed(f"{desk.opts.argument!r} is no regular expression: {error}") from None
    if not desk.opts.yes:
        number = await changing.matching(desk.crawl, pattern)
        if not number:
            raise Failed(f"no queued request has a URL in which {pattern.pattern!r} is found")
        desk.confirm(f"Drop {counted(number, 'queued request')} of {desk.crawl.name}?")
    dropped = await operations.drop(desk.crawl, pattern)
    desk.say(
        f"Dropped {counted(dropped, 'request')}; retry-dead --reason 'dropped by operator' undoes it.",
        dropped=dropped,
    )
    return 0


async def pause(desk: Desk) -> int:
    """Stops the handing out of requests."""
    new = await operations.pause(desk.crawl)
    said = f"{desk.crawl.name} is paused" if new else f"{desk.crawl.name} was paused already"
    desk.say(f"{said}: pages under way end, no more are handed out until resume.", paused=True, changed=new)
    return 0


async def resume(desk: Desk) -> int:
    """Ends a pause."""
    was = await operations.resume(desk.crawl)
    said = "goes on." if was else "was not paused."
    desk.say(f"{desk.crawl.name} {said}", paused=False, changed=was)
    return 0


async def seal(desk: Desk) -> int:
    """Takes no more links."""
    ended = await operations.seal(desk.crawl)
    rest = "nothing is left, so that it has finished" if ended else "it ends when what is queued is crawled"
    desk.say(f"{desk.crawl.name} takes no more links and start URLs; {rest}.", sealed=True, finished=ended)
    return 0


async def clear(desk: Desk) -> int:
    """Empties the crawl."""
    meta = await desk.crawl.meta()
    held = {name: meta.get(name, 0) for name in ("queued", "leased", "dead", "seen")}
    what = ", ".join(f"{number:,} {name}" for name, number in held.items())
    desk.confirm(f"Clear {desk.crawl.name} for good ({what})?")
    await operations.clear(desk.crawl)
    remembered = await forget_run(desk.crawl.name, desk.store, desk.settings)
    desk.say(f"{desk.crawl.name} is cleared: {what}.", cleared=held)
    if remembered:
        print(printable(f"{remembered}."), file=sys.stderr)
    return 0


async def check(desk: Desk) -> int:
    """Counts anew, and says whether to go on."""
    report = await operations.check(desk.crawl, repair=desk.opts.repair)
    found = await verdict(desk.crawl, report, desk.store, desk.settings)
    if desk.opts.json:
        print(json.dumps({**asdict(report), "verdict": asdict(found)}))
    else:
        _print(desk, report)
        desk.say(f"{found.said[0].upper()}{found.said[1:]}.")
    return 1 if report.findings or not found.go_on else 0


def _print(desk: Desk, report: Report) -> None:
    for line in report.repairs:
        desk.say(f"Repaired: {line}.")
    for line in report.findings:
        desk.say(f"Wrong: {line}.")
    if report.moved:
        desk.say("The crawl moved while it was counted, so that figures may not fit: pause it to be exact.")
        if desk.opts.repair and report.findings:
            desk.say("Nothing was repaired for that reason.")
    if not report.findings:
        queued = counted(report.requests, "queued request")
        if report.out:
            queued += f" ({report.out:,} in MongoDB, not looked at)"
        desk.say(f"All figures fit, after a count of {queued} of {counted(report.hosts, 'host')}.")


def _limit(desk: Desk) -> int:
    limit: int = _ROWS if desk.opts.limit is None else desk.opts.limit
    if limit < 0:
        raise Failed(f"--limit must be at least 0, not {limit}")
    return limit


VERBS = {
    "status": Verb(status, "how far the crawl is"),
    "hosts": Verb(hosts, "hosts with work", options=frozenset({"limit", "spider"})),
    "workers": Verb(workers, "who is at it"),
    "where": Verb(where, "where a URL is", "URL", frozenset({"spider"})),
    "dead": Verb(dead, "what could not be crawled, and why", options=frozenset({"reason", "limit"})),
    "retry-dead": Verb(retry_dead, "queue it again", options=frozenset({"reason"})),
    "drop": Verb(drop, "drop queued URLs that a regular expression finds", "PATTERN", frozenset({"yes"})),
    "add": Verb(add, "queue URLs", "URL…", frozenset({"priority"})),
    "forget": Verb(
        forget, "take a URL, or what a regular expression finds, out of what was seen", "URL|PATTERN"
    ),
    "pause": Verb(pause, "hand out no more requests"),
    "resume": Verb(resume, "end a pause"),
    "seal": Verb(seal, "take no more links, and end"),
    "clear": Verb(clear, "give up all that is queued and seen", options=frozenset({"yes"})),
    "export": Verb(export, "write the crawl to a file", "FILE"),
    "import": Verb(
        import_,
        "read it back, or take over a crawl of scrapy-redis",
        "FILE",
        frozenset({"yes", "from-scrapy-redis", "requests-key", "dupefilter-key"}),
    ),
    "check": Verb(check, "count everything anew", options=frozenset({"repair"})),
}
