"""What a worker goes through that meets pages made to fill its memory, and whether its other pages go on.

    python -m benchmarks.bombs [--profile default fast] [--only WORD] [--copies 8]

A worker crawls two hosts on loopback at once: one with so many copies of a bomb, one with 200 good pages.
Beside what is beyond a limit there are bodies just below.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import random
import re
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

import redis
from rich.progress import track
from rich.table import Table

from benchmarks.answers import MB, answer, bombs, coded, drips
from benchmarks.harness import Worker, peak_mib, report, run, wait_until
from deploy.local.raw_site import Answer, RawSite, plain, raw_site
from deploy.local.servers import redis_server

NAME = "bombs"
PROFILES = ("default", "fast")
GOOD = 200
CRAWL = "bombs"
_CRAWL_S = 300
_TIMEOUT_S = 3
_LARGE = 31 * MB
_PARSED = 7_900_000  # bytes: just below PAGES_MAX_PARSED_BYTES


@dataclass(frozen=True)
class Outcome:
    """How a crawl went: the most memory in MiB, pages of the other host, seconds until these were had and
    until the end, what became of the copies.
    """

    bomb: str
    profile: str
    peak_mib: float
    good: int
    good_s: float
    crawl_s: float
    outcome: str


def answers() -> dict[str, Answer]:
    """All bombs by their names, `none` for what a worker takes without."""
    robots = b"User-agent: *\nDisallow: /private\n"
    begun = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n" + robots
    words = random.Random(NAME).choices([b"lorem ", b"ipsum ", b"dolor ", b"sit "], k=4096)
    text = b"".join(words) * (_LARGE // sum(map(len, words)))
    return {
        "none": plain(b""),
        **{path.rpartition("/")[2]: bomb for path, (bomb, _) in bombs().items()},
        **{f"drip-{path.rpartition('/')[2]}": drip for path, drip in drips().items()},
        "large-text": answer(text),
        "large-gzip": coded(gzip.compress(text, 1), "gzip"),
        "parsed-text": answer(text[:_PARSED]),
        "parsed-markup": answer(b"<p>x</p>" * (_PARSED // 8)),
        "large-binary": plain(text, "200 OK", "application/octet-stream"),
        "robots-endless": Answer(lambda: itertools.chain([begun], itertools.repeat(b"# comment\n" * 6000))),
        "robots-gzip": coded(gzip.compress(robots + b"\n" * (200 * MB)), "gzip"),
    }


def sites(name: str, bomb: Answer, copies: int) -> tuple[dict[str, Answer], dict[str, Answer]]:
    """The answers of the bad host and of the good one."""
    is_robots = name.startswith("robots")
    leads = "".join(f'<a href="/bomb?{number}">bomb</a>' for number in range(copies if name != "none" else 0))
    bad = {"/": plain(f"<title>bad</title>{leads}".encode()), "/bomb": plain(b"<p>") if is_robots else bomb}
    if is_robots:
        bad["/robots.txt"] = bomb
    links = "".join(f'<a href="/{number}">page</a>' for number in range(1, GOOD))
    good = {f"/{number}": plain(b"<title>good</title>" + b"<p>text" * 500) for number in range(1, GOOD)}
    return bad, {"/": plain(f"<title>good</title>{links}".encode()), **good}


def crawl(name: str, bomb: Answer, profile: str, copies: int) -> Outcome:
    """One worker, with servers of its own."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="benchmark-")))
        server = stack.enter_context(redis_server(folder / "redis"))
        bad, good = (
            stack.enter_context(raw_site(each, host))
            for each, host in zip(sites(name, bomb, copies), ("127.0.0.1", "127.0.0.2"), strict=True)
        )
        settings = {
            "REDIS_URL": server.url,
            "ITEM_PIPELINES": "{}",
            "FAST_PROFILE": profile == "fast",
            "DOWNLOAD_TIMEOUT": _TIMEOUT_S if name.startswith("drip") else 180,
            "FRONTIER_BACK_OFF_MAX_S": 1,
            "FRONTIER_HOST_REST_S": 1,
        }
        command = ["crawl", "pages", "-a", f"crawl={CRAWL}", "-a", f"url={bad.url},{good.url}"]
        command += itertools.chain.from_iterable(("-s", f"{key}={value}") for key, value in settings.items())
        worker = stack.enter_context(Worker(command, {}, folder / "worker.log"))
        peak, good_s, crawl_s = _watch(worker, good)
        with redis.Redis.from_url(server.url) as client:
            ended = ", ".join(f"{number} x {what}" for what, number in _letters(client).items())
    return Outcome(name, profile, peak, len(good.asked) - 1, good_s, crawl_s, ended or "as pages")


def _watch(worker: Worker, good: RawSite) -> tuple[float, float, float]:
    """Until its end: the most memory, seconds until the last of the good pages was asked for and in all."""
    began_s = time.monotonic()
    peak = seen = 0.0
    good_s = 0.0

    def over() -> object:
        nonlocal peak, seen, good_s
        if len(good.asked) > seen:
            seen, good_s = len(good.asked), time.monotonic() - began_s
        if (ended := worker.poll()) is None:
            peak = max(peak, peak_mib(worker.pid))
        return ended

    wait_until(over, _CRAWL_S, worker.complaint)
    worker.finish(1)
    return peak, good_s, time.monotonic() - began_s


def _letters(client: redis.Redis) -> Mapping[str, int]:
    """How often each reason stands among the dead letters."""
    reasons = (fields[b"reason"].decode() for _, fields in client.xrange(f"{{{CRAWL}}}:dead"))
    ends = re.compile(r" \(|: Getting| and more out of")
    return Counter(ends.split(reason.removeprefix("download failed "))[0] for reason in reasons)


def table(outcomes: list[Outcome]) -> Table:
    """One row a bomb and profile."""
    shown = Table(title=f"A worker with bombs, and {GOOD} good pages beside them")
    for heading in ("bomb", "profile"):
        shown.add_column(heading)
    for heading in ("peak MiB", "good pages", "by s", "end s"):
        shown.add_column(heading, justify="right")
    shown.add_column("what became of the copies")
    for each in outcomes:
        figures = (f"{each.peak_mib:.0f}", str(each.good), f"{each.good_s:.1f}", f"{each.crawl_s:.1f}")
        shown.add_row(each.bomb, each.profile, *figures, each.outcome)
    return shown


def main() -> None:
    """Every bomb with every profile."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bombs", description=__doc__)
    parser.add_argument("--profile", nargs="+", default=PROFILES, choices=PROFILES)
    parser.add_argument("--only", default="", help="bombs whose names hold this word")
    parser.add_argument("--copies", type=int, default=8, help="of each bomb, at once")
    options = parser.parse_args()
    chosen = [(name, bomb) for name, bomb in answers().items() if options.only in name]
    pairs = [(name, bomb, profile) for name, bomb in chosen for profile in options.profile]
    outcomes = [crawl(*pair, options.copies) for pair in track(pairs, "Bombs")]
    report(NAME, [table(outcomes)], {"outcomes": [asdict(each) for each in outcomes]})


if __name__ == "__main__":
    run(main)
