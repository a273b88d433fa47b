"""What keeps a crawl from going on, and from ending, is there for whoever asks."""

from __future__ import annotations

from crawlers.frontier import Batch, News
from crawlers.frontier.operations import Crawl as Operated
from crawlers.frontier.operations import Waiting, waiting_for

from .crawl import HOST, LONG_MS, Crawl, give, ids, link, links, visit, want


async def _waiting(crawl: Crawl) -> list[Waiting]:
    return await waiting_for(await Operated.open(crawl.frontier.client, crawl.frontier.crawl))


async def test_a_crawl_that_goes_on_waits_for_nothing(crawl: Crawl) -> None:
    # Given a crawl with a page that may be asked for now, when somebody asks, then it waits for nothing
    await give(await crawl.join(), links(3))
    assert await _waiting(crawl) == []


async def test_a_host_that_is_left_alone_is_named_with_its_reason_its_pages_and_until_when(
    crawl: Crawl,
) -> None:
    # Given two hosts that ask to be left alone, one for longer
    member = await crawl.join()
    await give(member, [*links(3), link("b", "b.example")])
    news = [
        News.trouble(HOST, "robots.txt: HTTP 500", wait_ms=LONG_MS),
        News.trouble("b.example", "x", wait_ms=2 * LONG_MS),
    ]
    await member.exchange(Batch(news=news))
    # When somebody asks what the crawl waits for
    (waiting,) = await _waiting(crawl)
    # Then it is the one that is due first, and the others are counted
    assert (waiting.kind, waiting.pages) == ("hosts", 4)
    assert waiting.said.startswith(f"{HOST}, which may be asked again at ")
    assert waiting.said.endswith("UTC (robots.txt: HTTP 500), and 1 other hosts later")
    now_ms = int(crawl.redis.time()[0]) * 1000
    assert waiting.until_ms is not None
    assert abs(waiting.until_ms - now_ms - LONG_MS) < 60_000


async def test_a_long_delay_is_named(crawl: Crawl) -> None:
    # Given a host with a delay of an hour that was asked just now
    member = await crawl.join(delay_ms=LONG_MS)
    await give(member, links(2))
    leased = await want(member, 1)
    await visit(member, leased, done=ids(leased))
    # When somebody asks, then that is what the crawl waits for
    assert [(each.kind, "that is its delay" in each.said) for each in await _waiting(crawl)] == [
        ("hosts", True)
    ]


async def test_a_pause_a_worker_with_pages_and_one_that_may_bring_work_are_named(crawl: Crawl) -> None:
    # Given a crawl in which all that may keep it from ending comes to pass, one after the other
    member = await crawl.join("worker")
    found = [await _kinds(crawl)]
    await give(member, links(1))
    leased = await want(member, 1)
    found.append(await _kinds(crawl))
    await member.exchange(Batch(released=ids(leased)))
    crawl.redis.hset(f"{crawl.tag}:meta", "paused", 1)
    found.append(await _kinds(crawl))
    crawl.redis.delete(f"{crawl.tag}:workers")
    found.append(await _kinds(crawl))
    # When somebody asks each time, then it is what he is told
    assert found == [{"busy"}, {"leased"}, {"paused"}, {"paused", "workers"}]


async def test_a_finished_crawl_waits_for_nothing(crawl: Crawl) -> None:
    # Given a crawl that has ended, when somebody asks, then it waits for nothing
    member = await crawl.join()
    assert (await member.exchange(Batch(idle=True))).finished
    assert await _waiting(crawl) == []


async def _kinds(crawl: Crawl) -> set[str]:
    return {each.kind for each in await _waiting(crawl)}
