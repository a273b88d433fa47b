"""`scrapy frontier export` and `import`."""

from __future__ import annotations

import sys
from pathlib import Path

from scrapy_redis import defaults

from crawlers.frontier import operations
from crawlers.migration import Moved, StockCrawl

from .desk import Desk, Failed
from .moment import counted
from .verdict import forget as forget_run

_SETTING = "REQUEST_FINGERPRINTER_CLASS=crawlers.migration.ScrapyRedisFingerprinter"


async def export(desk: Desk) -> int:
    """Writes the crawl to a file."""
    file = Path(desk.opts.argument)
    if file.exists():
        raise Failed(f"{file} exists already: name another file, or delete it")
    try:
        written = await operations.export(desk.crawl, file)
    except OSError as error:
        raise Failed(f"{file} can't be written: {error.strerror}") from None
    figures = {"queued": written.queued, "dead": written.dead, "seen": written.seen}
    desk.say(f"{file} holds {_listed(figures)} of {desk.crawl.name}.", file=str(file), **figures)
    return 0


async def import_(desk: Desk) -> int:
    """Reads a file back, or takes over a crawl of scrapy-redis."""
    meta = await desk.crawl.meta()
    held = {name: meta.get(name, 0) for name in ("queued", "leased", "dead", "seen")}
    if any(held.values()):
        desk.confirm(f"The crawl {desk.crawl.name} is not empty ({_listed(held)}): import beside it?")
    if desk.opts.from_scrapy_redis:
        return await _import_stock(desk, empty=not any(held.values()))
    file = Path(desk.opts.argument)
    try:
        imported = await operations.import_from(desk.crawl, file)
    except OSError as error:
        raise Failed(f"{file} can't be read: {error.strerror}") from None
    await forget_run(desk.crawl.name, desk.store, desk.settings)  # it stands in the file now
    restored = imported.restored
    figures = {"queued": restored.queued, "dead": restored.dead, "seen": restored.seen}
    desk.say(
        f"Imported {_listed(figures)} into {desk.crawl.name}.",
        **{**figures, "rejected": imported.rejected, "aside": imported.aside and str(imported.aside)},
    )
    if imported.rejected:
        sentence = (
            f"Rejected {counted(imported.rejected, 'line')}, which are in {imported.aside} with the reasons."
        )
        print(sentence, file=sys.stderr)
    return 1 if imported.rejected else 0


async def _import_stock(desk: Desk, *, empty: bool) -> int:
    if not empty and not (await desk.crawl.meta()).get("scrapy_redis"):
        raise Failed(
            f"the crawl {desk.crawl.name} tells URLs apart in another way than scrapy-redis: import into a"
            " new one with --crawl"
        )
    spider, settings, opts = desk.opts.from_scrapy_redis, desk.settings, desk.opts
    queue_class = str(settings.get("SCHEDULER_QUEUE_CLASS") or "")
    pattern = settings.get("SCHEDULER_QUEUE_KEY") or defaults.SCHEDULER_QUEUE_KEY
    seen_pattern = settings.get("SCHEDULER_DUPEFILTER_KEY") or defaults.SCHEDULER_DUPEFILTER_KEY
    stock = StockCrawl(
        desk.crawl.client,
        requests=opts.requests_key or pattern % {"spider": spider},
        dupefilter=opts.dupefilter_key or seen_pattern % {"spider": spider},
        newest_first=queue_class.endswith(("LifoQueue", "SpiderStack")),
        max_bytes=settings.getint("FRONTIER_MAX_REQUEST_BYTES"),
        classes=tuple(settings.getlist("FRONTIER_REQUEST_CLASSES")),
    )
    moved = await stock.move(desk.crawl)
    _report(desk, stock, moved)
    return 1 if moved.refused else 0


def _report(desk: Desk, stock: StockCrawl, moved: Moved) -> None:
    desk.say(
        f"Moved {counted(moved.requests, 'request')} and {counted(moved.seen, 'seen URL')} to"
        f" {desk.crawl.name}; start URLs stay in their list.",
        requests=moved.requests,
        seen=moved.seen,
        refused=dict(moved.refused),
    )
    for reason, number in moved.refused.most_common():
        print(f"Refused {counted(number, 'payload')}, left in place: {reason}.", file=sys.stderr)
    if not desk.opts.json:
        desk.say(f"Run its workers with -s {_SETTING} until it has finished: so they agree on what was seen.")
        desk.say(f"{stock.dupefilter} is kept: delete it once there is no way back to scrapy-redis.")


def _listed(figures: dict[str, int]) -> str:
    return ", ".join(f"{number:,} {name}" for name, number in figures.items())
