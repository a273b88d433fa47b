"""What a host asks for, by robots.txt, by its answers and by its silence, holds for all workers."""

from __future__ import annotations

from typing import Any

from crawlers.frontier import Batch, Member, News, Reply

from .crawl import HOST, LONG_MS, Crawl, give, ids, link, links, names, visit, want

BUSY = News.trouble(HOST, "HTTP 503")


async def _tell(member: Member, *news: News, **handed_in: Any) -> Reply:
    return await member.exchange(Batch(news=list(news), **handed_in))


def _wake(crawl: Crawl) -> None:
    """Lets the time pass for which the host is left alone."""
    crawl.bend_manners(wake_us=1)
    crawl.redis.zadd(f"{crawl.base}:ready", {HOST: 1}, xx=True)


async def test_of_a_host_whose_robots_txt_nobody_knows_one_page_is_leased_at_a_time(crawl: Crawl) -> None:
    # Given a new host, and workers that obey robots.txt
    first, second = await crawl.join(robots=True), await crawl.join(robots=True)
    await give(first, links(9))
    # When both want pages, and robots.txt is read
    scouts = (await want(first, 5)).leases
    others = (await want(second, 5)).leases
    visits = [(lease.id, 0) for lease in scouts]
    await _tell(first, News.robots(HOST, 0, LONG_MS), visits=visits)
    # Then all but the first wait for it
    assert [lease.scout for lease in scouts] == [True]
    assert others == []
    leases = (await want(second, 5)).leases
    assert leases
    assert not any(lease.scout for lease in leases)


async def test_a_crawl_delay_holds_for_all_workers_and_beyond_a_new_run(crawl: Crawl) -> None:
    # Given a host that asks for an hour, of which one page was leased
    member = await crawl.join(robots=True)
    await give(member, links(3))
    reply = await want(member, 1)
    await visit(member, reply, news=[News.robots(HOST, LONG_MS, LONG_MS)])
    # When that page is given back, and again
    given_back = await member.exchange(Batch(released=ids(reply), want=1))
    await crawl.join(robots=True, flush=True)
    crawl.redis.zadd(f"{crawl.base}:ready", {HOST: 1})
    # Then nobody gets another before it has passed
    assert (given_back.leases, (await want(await crawl.join(robots=True), 3)).leases) == ([], [])
    assert crawl.manners()["robots_ms"] == str(LONG_MS)


async def test_a_robots_txt_that_has_grown_old_is_read_anew(crawl: Crawl) -> None:
    # Given a host whose robots.txt was good for no time at all
    member = await crawl.join(robots=True)
    await give(member, links(3))
    reply = await want(member, 1)
    await _tell(member, News.robots(HOST, 0, 0), done=ids(reply))
    # When more is wanted, then the next page is a scout too
    assert [lease.scout for lease in (await want(member, 3)).leases] == [True]


async def test_retry_after_puts_a_host_to_sleep_for_all_workers(crawl: Crawl) -> None:
    # Given a host that asks one worker to come back in an hour
    first, second = await crawl.join(), await crawl.join()
    await give(first, [*links(9), link("other", "b.example")])
    reply = await _tell(first, News.trouble(HOST, "HTTP 429", wait_ms=LONG_MS))
    # When another wants pages, then it gets those of others only
    assert names(await want(second, 9)) == ["other"]
    assert reply.due_ms == 0
    due_ms = (await want(second, 9)).due_ms
    assert due_ms is not None
    assert due_ms > LONG_MS - 60_000
    assert crawl.manners()["why"] == "HTTP 429"


async def test_each_failure_in_a_row_doubles_the_wait_up_to_the_most(crawl: Crawl) -> None:
    # Given a host that fails again and again, and doesn't say for how long
    member = await crawl.join(back_off_ms=1000, back_off_max_ms=5000, strikes=0)
    await give(member, links(9))
    waits_ms = []
    # When each failure comes after the wait of the last
    for _ in range(5):
        waits_ms.append((await _tell(member, BUSY)).due_ms)
        _wake(crawl)
    # Then the waits are 1, 2, 4, 5 and 5 s, give or take a quarter
    for wait_ms, expected_ms in zip(waits_ms, [1000, 2000, 4000, 5000, 5000], strict=True):
        assert wait_ms is not None
        assert 0.74 * expected_ms <= wait_ms <= 1.26 * expected_ms


async def test_failures_that_were_under_way_at_once_count_as_one(crawl: Crawl) -> None:
    # Given eight pages under way, all of which fail
    member = await crawl.join(back_off_ms=1000)
    await give(member, links(9))
    reply = await _tell(member, *[BUSY] * 8)
    # Then the host has failed once
    assert reply.due_ms is not None
    assert reply.due_ms <= 1260
    assert crawl.manners()["strikes"] == "1"


async def test_a_success_after_the_wait_makes_good(crawl: Crawl) -> None:
    # Given a host that has failed twice
    member = await crawl.join()
    await give(member, links(9))
    for _ in range(2):
        await _tell(member, BUSY)
        _wake(crawl)
    # When it is asked again, and answers
    (lease,) = (await want(member, 1)).leases
    await _tell(member, News.answer(HOST, 10, 200))
    # Then its worker was asked to say so, and nothing is held against it
    assert lease.watched
    assert crawl.manners() == {}


async def test_a_page_that_breaks_its_connection_does_not_stop_its_host(crawl: Crawl) -> None:
    # Given a patient observer, and a host whose connections break
    member = await crawl.join()
    await give(member, links(9))
    broken = News.trouble(HOST, "connection lost", patient=True)
    # When two break, and a third
    twice = await _tell(member, broken, broken)
    thrice = await _tell(member, broken)
    # Then only the third in a row stops it
    assert twice.due_ms == 0
    assert thrice.due_ms


async def test_a_host_that_fails_again_and_again_is_set_aside_and_at_last_given_up(crawl: Crawl) -> None:
    # Given a host that is set aside after two failures, once
    member = await crawl.join(strikes=2, rest_ms=LONG_MS, rests=1)
    await give(member, links(250))
    for _ in range(2):
        reply = await _tell(member, BUSY)
        why = crawl.manners()["why"]
        _wake(crawl)
    assert (reply.due_ms or 0) > LONG_MS - 60_000
    assert why == "set aside: HTTP 503"
    # When it fails as often after its rest
    for _ in range(2):
        await _tell(member, BUSY)
        _wake(crawl)
    for _ in range(3):
        await want(member, 5)
        _wake(crawl)
    # Then its pages are dead letters with the reason
    letters = crawl.letters()
    assert (len(letters), {letter.reason for letter in letters}) == (250, {"set aside: HTTP 503"})


async def test_the_delay_follows_the_latency_where_that_is_asked_for(crawl: Crawl) -> None:
    # Given two requests to be open on average, a delay of 5 s at first, and answers after 400 ms
    member = await crawl.join(throttle=2000, throttle_start_ms=5000, throttle_max_ms=60_000)
    await give(member, links(9))
    found_ms = []
    # When they come one after the other
    for _ in range(4):
        await _tell(member, News.answer(HOST, 400, 200))
        found_ms.append(int(crawl.manners()["throttle_ms"]))
    # Then the delay goes half of the way to 200 ms each time, as Scrapy's AutoThrottle has it
    assert found_ms == [2600, 1400, 800, 500]
    # And a slower answer counts at once, a quick error not at all
    await _tell(member, News.answer(HOST, 4000, 200))
    await _tell(member, News.answer(HOST, 1, 404))
    assert crawl.manners()["throttle_ms"] == "2000"


async def test_a_host_gives_no_more_pages_than_its_budget(crawl: Crawl) -> None:
    # Given a crawl that takes five pages of each host
    member = await crawl.join(host_pages=5)
    # When one of them has more
    first = await give(member, [*links(3), *links(2, "b.example")])
    second = await give(member, links(9))
    third = await give(member, links(9))
    # Then the rest is dropped, it is said once, and other hosts go on
    assert (first.spent, second.spent, third.spent) == ([], [HOST], [])
    assert (second.known, second.counts.queued, third.counts.queued) == (7, 7, 7)
    assert crawl.redis.hget(f"{crawl.tag}:meta", "over_budget") == b"16"


async def test_terms_that_are_no_numbers_count_for_nothing(crawl: Crawl) -> None:
    # Given somebody who writes nonsense over the terms of a crawl
    member = await crawl.join(delay_ms=LONG_MS)
    await give(member, links(3))
    for nonsense in (b"", b"\xc1", b"\x81\xa8delay_ms\xa1x", b"\xcb\x7f\xf8" + bytes(6)):
        crawl.redis.hset(f"{crawl.tag}:policy", "*", nonsense)
        # When a worker asks, then it gets pages as if there were none
        assert len((await want(member, 1)).leases) <= 1
