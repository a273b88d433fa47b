"""Workers that want more than there is share it, and one that is silent does not hold up the rest."""

from __future__ import annotations

from crawlers.frontier import Batch, Member

from .crawl import Crawl, give, ids, link, links, names, want


async def _hungry(crawl: Crawl, number: int, limit: int) -> list[Member]:
    """Workers that have asked for work when there was none."""
    members = [await crawl.join(limit=limit) for _ in range(number)]
    for member in members:
        assert (await want(member, 10)).leases == []
    return members


async def test_workers_share_the_slots_of_a_host(crawl: Crawl) -> None:
    # Given two workers that wait for work
    first, second = await _hungry(crawl, 2, limit=4)
    # When one of them finds a host that takes four at once
    leased = [
        len((await first.exchange(Batch(found=links(20), want=10))).leases),
        len((await want(second, 10)).leases),
        len((await want(first, 10)).leases),
    ]
    # Then each has half of them
    assert leased == [2, 2, 0]


async def test_who_came_first_gives_up_slots_to_who_came_later(crawl: Crawl) -> None:
    # Given a worker that holds all four slots of a host, and another that waits for one
    first, second = await crawl.join(limit=4), await crawl.join(limit=4)
    await give(first, links(20))
    held = ids(await want(first, 10))
    assert (await want(second, 10)).leases == []
    # When the first completes its pages one by one, and asks for more each time
    shares = []
    for lease in held:
        await first.exchange(Batch(done=[lease], want=10))
        shares.append(len((await want(second, 10)).leases))
    # Then the second has its half
    assert sum(shares) == 2


async def test_a_worker_alone_has_all_slots(crawl: Crawl) -> None:
    # Given two workers, of which one wants nothing
    first, _ = await crawl.join(limit=4), await crawl.join(limit=4)
    await give(first, links(20))
    # When the other wants more than there is, twice
    leased = [len((await want(first, 10)).leases) for _ in range(2)]
    # Then it has all
    assert leased == [4, 0]


async def test_a_silent_worker_does_not_hold_up_the_others_where_there_is_enough_for_all(
    crawl: Crawl,
) -> None:
    # Given three workers that wait for work, of which one is not heard of any more
    first, second, _ = await _hungry(crawl, 3, limit=8)
    # When 100 hosts are found
    await give(first, [link(str(n), f"{n % 100}.example") for n in range(1000)])
    leased = [len((await want(member, 32)).leases) for member in (first, second)]
    # Then the others have all they want at once
    assert leased == [32, 32]


async def test_where_priorities_hold_over_hosts_the_most_urgent_goes_first(crawl: Crawl) -> None:
    # Given hosts that were found in the order of a falling urgency, and one that becomes urgent late
    member = await crawl.join(strict=True, limit=2)
    found = [link(f"{n} {i}", f"{n}.example", priority=n) for n in range(5) for i in range(2)]
    await give(member, found)
    first = names(await want(member, 3))
    await give(member, [link("late", "0.example", priority=9)])
    # When more is wanted
    rest = names(await want(member, 9))
    # Then each request goes before all that are less urgent, whatever their hosts
    assert first == ["4 0", "4 1", "3 0"]
    assert rest == ["late", "3 1", "2 0", "2 1", "1 0", "1 1", "0 0"]


async def test_where_priorities_hold_over_hosts_none_is_forgotten(crawl: Crawl) -> None:
    # Given more hosts than are ranked at once, of which the last are the most urgent
    member = await crawl.join(strict=True)
    found = [link(str(n), f"{n}.example", priority=n) for n in range(3000)]
    for start in range(0, 3000, 1000):
        await give(member, found[start : start + 1000])
    # When all are leased bit by bit, some by others
    leased = []
    while reply := (await want(member, 64)).leases:
        leased += [int(lease.payload) for lease in reply]
    # Then each comes once, in order once all are ranked, and nothing is left of the ranks
    assert sorted(leased) == list(range(3000))
    assert leased[1000:] == sorted(leased[1000:], reverse=True)
    assert crawl.key_names("1:urgent") == []
