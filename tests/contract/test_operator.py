"""What an operator does to a crawl holds while workers are at it, and loses nothing by accident."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from crawlers.frontier import (
    Batch,
    Failed,
    Found,
    Frontier,
    HostPolicy,
    Link,
    Refused,
    Terms,
    encode,
    operations,
)
from crawlers.frontier.operations import BadRequest, UnknownCrawl, changing

from .crawl import HOST, Crawl, give, ids, want


def page(number: int, host: str = HOST, priority: int = 0, *, known: bool = True) -> Found:
    """A request as a worker queues it: /0, /1, ... of a host, each with a fingerprint of its own."""
    url = f"http://{host}/{number}"
    fingerprint = hash(url) if known else None
    return Found(fingerprint, host, priority, encode(Link(url), 10_000))


def pages(number: int, host: str = HOST, priority: int = 0) -> list[Found]:
    """/0 to /number-1 of a host."""
    return [page(n, host, priority) for n in range(number)]


async def opened(crawl: Crawl) -> operations.Crawl:
    """The same crawl for an operator."""
    return await operations.Crawl.open(crawl.frontier.client, crawl.frontier.crawl)


def urls(payloads: Any) -> list[str]:
    """The paths of queued payloads, in order."""
    return [re.sub(r".*/(\d+).*", r"\1", payload.decode(errors="replace")) for payload in payloads]


async def lease_all(member: Any, number: int) -> list[str]:
    """Leases and completes everything, one exchange after the other; the order of leases."""
    order: list[str] = []
    done: list[int] = []
    while len(order) < number:
        reply = await member.exchange(Batch(done=done, want=100))
        done = ids(reply)
        assert reply.leases
        order += urls(lease.payload for lease in reply.leases)
    await member.exchange(Batch(done=done, idle=True))
    return order


def assert_conserved(crawl: Crawl) -> None:
    """All counters are those of the keys."""
    meta = {k.decode(): int(v) for k, v in crawl.redis.hgetall(f"{crawl.tag}:meta").items()}
    found = crawl.recount()
    assert meta.get("queued", 0) == found.queued.total()
    assert meta.get("leased", 0) == found.leased.total()
    assert meta.get("dead", 0) == found.dead.total()
    parts = sum(meta.get(name, 0) for name in ("done", "queued", "leased", "dead"))
    assert meta.get("enqueued", 0) == parts


# Which crawl -------------------------------------------------------------------------------------------


async def test_without_a_name_the_only_crawl_is_meant_and_of_several_all_are_named(own_crawl: Crawl) -> None:
    # Given a Redis with one crawl
    client = own_crawl.frontier.client
    await own_crawl.join()
    assert (await operations.Crawl.open(client, None)).name == "crawl"
    # When there is a second
    await Frontier(client, "other[1]").join("worker", Terms())
    # Then the choice is the operator's, and both are named
    with pytest.raises(UnknownCrawl, match=r"crawl, other\[1\]"):
        await operations.Crawl.open(client, None)
    with pytest.raises(UnknownCrawl, match="no crawl 'third'"):
        await operations.Crawl.open(client, "third")


# Pause, seal, clear ------------------------------------------------------------------------------------


async def test_a_paused_crawl_leases_nothing_and_does_not_finish_until_it_is_resumed(crawl: Crawl) -> None:
    # Given a worker with one page under way and one queued
    member = await crawl.join()
    first = await member.exchange(Batch(found=pages(2), want=1))
    # When the crawl is paused
    assert await operations.pause(await opened(crawl))
    # Then the page ends and no other is handed out
    reply = await member.exchange(Batch(done=ids(first), want=5, idle=True))
    assert reply.leases == []
    assert (reply.counts.queued, reply.counts.leased) == (1, 0)
    # And even an empty crawl is not finished, until it is resumed
    await operations.drop(await opened(crawl), re.compile("."))
    assert not (await member.exchange(Batch(idle=True))).finished
    assert await operations.resume(await opened(crawl))
    assert (await member.exchange(Batch(idle=True))).finished


async def test_a_sealed_crawl_ends_with_what_is_queued_though_a_worker_would_wait_for_ever(
    crawl: Crawl,
) -> None:
    # Given a worker that always may bring work of its own, and two pages
    member = await crawl.join()
    leased = await member.exchange(Batch(found=pages(2), want=2))
    # When the crawl is sealed
    assert not await operations.seal(await opened(crawl))
    # Then its links are dropped and counted, but for what continues a page of its own
    retry = page(0, known=False)
    redirect = Found(retry.fingerprint, retry.host, 0, retry.payload, continues=True)
    reply = await member.exchange(Batch(found=[page(7), redirect], done=ids(leased), want=1))
    assert (reply.sealed, reply.known, reply.counts.dropped) == (True, 1, 1)
    assert not reply.finished
    # And it ends with the last page, idle or not
    assert (await member.exchange(Batch(done=ids(reply), idle=False))).finished
    # And the next run takes links again
    again = await crawl.join()
    assert not (await give(again, pages(1))).sealed


async def test_an_empty_crawl_that_is_sealed_has_finished_so_that_the_next_run_starts_anew(
    crawl: Crawl,
) -> None:
    # Given a crawl without work whose workers are gone
    member = await crawl.join()
    await member.leave()
    # When it is sealed
    # Then it has ended, and the next worker is not turned away
    assert await operations.seal(await opened(crawl))
    assert (await give(await crawl.join(), pages(1))).counts.queued == 1


async def test_a_crawl_that_was_cleared_before_anybody_joined_is_begun_by_who_joins(crawl: Crawl) -> None:
    # Given a crawl of which Redis knows nothing, cleared
    name = crawl.frontier.crawl
    await operations.clear(await operations.Crawl.open(crawl.frontier.client, name, new=True))
    # When a worker joins, Then its run is the first, and isn't over
    _, joined = await crawl.frontier.join("worker", Terms())
    assert (joined.run, joined.over) == (1, 0)


async def test_clear_gives_up_everything_fences_workers_and_frees_the_memory(crawl: Crawl) -> None:
    # Given a crawl with requests queued on hosts at their limit, leased, dead and claimed
    list_key = f"start-{crawl.frontier.crawl}"
    crawl.redis.rpush(list_key, "http://a.example/", "http://b.example/")
    await crawl.frontier.claim(list_key, 1, 60_000)
    members = [await crawl.join(limit=1) for _ in range(30)]
    for number, member in enumerate(members):
        await member.exchange(Batch(found=pages(3, f"{number}.example"), want=1))
    lease = ids(await want(members[0], 1)) or [1]
    await members[0].exchange(Batch(failed=[Failed(lease[0], "why", final=True)]))
    # When it is cleared
    await operations.clear(await opened(crawl))
    # Then every worker is fenced and nothing is left but the counters
    assert all([(await want(member, 1)).fenced for member in members])
    assert crawl.key_names() == ["meta", "policy"]
    status = await crawl.frontier.status()
    assert (status.enqueued, status.queued, status.leased, status.dead, status.finished) == (0, 0, 0, 0, True)
    # And what was claimed too, but not what waits in the list
    claims = await crawl.frontier.claim(list_key, 5, 1)
    assert claims.entries == [b"http://b.example/"]
    # And what it has seen is new again
    assert (await give(await crawl.join(), pages(1))).counts.queued == 1


# Drop and retry ----------------------------------------------------------------------------------------


async def test_drop_puts_what_matches_among_the_dead_letters_and_leaves_the_rest_in_order(
    crawl: Crawl,
) -> None:
    # Given more pages than one step takes, of two priorities
    member = await crawl.join(limit=0)
    for first in range(0, 3000, 500):
        await give(member, [page(n, priority=n % 2) for n in range(first, first + 500)])
    # When those that end in 7 are dropped
    assert await operations.drop(await opened(crawl), re.compile("7$")) == 300
    # Then the dead letters hold them with the reason
    assert_conserved(crawl)
    letters = crawl.letters()
    assert {letter.reason for letter in letters} == {"dropped by operator: 7$"}
    assert len(letters) == 300
    # And the rest comes in the order it would have come in
    expected = sorted((n for n in range(3000) if n % 10 != 7), key=lambda n: (-(n % 2), n))
    assert await lease_all(member, 2700) == [str(n) for n in expected]


async def test_drop_takes_only_what_it_has_looked_at_while_workers_lease_and_find(crawl: Crawl) -> None:
    # Given a queue, and an operator whose step is overtaken by a worker
    member = await crawl.join(limit=0)
    await give(member, pages(10))
    operator = await opened(crawl)
    elements = [b"0 " + found.payload for found in pages(5)]
    await want(member, 3)
    # When the step arrives that was meant for the first five
    queue = {"list": "requests", "host": HOST, "priority": 0}
    step = {**queue, "drop": elements[:4], "keep": elements[4:], "reason": "why"}
    # Then only what is still there is dropped, and nothing that was not looked at
    assert await operator.run(changing._DROP, step) == [2, 1]
    assert urls(letter.payload for letter in crawl.letters()) == ["3"]
    assert_conserved(crawl)


async def test_retry_dead_undoes_a_drop_and_leaves_what_never_was_a_request(crawl: Crawl) -> None:
    # Given dropped requests, one that failed, and a bad start URL
    member = await crawl.join(max_attempts=1)
    leased = await member.exchange(Batch(found=pages(5), want=1))
    refused = Refused("start_urls", page(9).payload, "no URL")
    await member.exchange(Batch(failed=[Failed(ids(leased)[0], "callback raised")], refused=[refused]))
    operator = await opened(crawl)
    await operations.drop(operator, re.compile("/[12]$"))
    # When those that were dropped are retried
    assert await operations.retry_dead(operator, "dropped by operator") == (2, 0)
    assert_conserved(crawl)
    # And then all others
    assert await operations.retry_dead(operator) == (1, 1)
    # Then all are queued but the bad start URL
    assert_conserved(crawl)
    assert [letter.reason for letter in crawl.letters()] == ["no URL"]
    assert sorted(await lease_all(member, 5)) == ["0", "1", "2", "3", "4"]


async def test_a_finished_crawl_goes_on_with_the_dead_letters_that_are_retried(crawl: Crawl) -> None:
    # Given a finished crawl with a dead letter
    member = await crawl.join()
    leased = await member.exchange(Batch(found=pages(1), want=1))
    failed = [Failed(ids(leased)[0], "download failed", final=True)]
    assert (await member.exchange(Batch(failed=failed, idle=True))).finished
    await member.leave()
    # When it is retried, and a worker comes
    assert await operations.retry_dead(await opened(crawl)) == (1, 0)
    # Then it is crawled
    assert await lease_all(await crawl.join(), 1) == ["0"]


# Where, dead, hosts ------------------------------------------------------------------------------------


async def test_where_finds_a_url_wherever_it_is(crawl: Crawl) -> None:
    # Given pages of which one is done, one leased, one dead and the rest queued, on a host at its limit
    member = await crawl.join(limit=2)
    leased = await member.exchange(Batch(found=[*pages(1500), *pages(5, priority=9)], want=2))
    await member.exchange(Batch(done=ids(leased)[:1], failed=[Failed(ids(leased)[1], "why", final=True)]))
    await want(member, 1)
    operator = await opened(crawl)

    async def find(number: int) -> operations.Place:
        found = page(number)
        assert found.fingerprint is not None
        same = f"http://{HOST}/{number}"
        return await operations.where(operator, same, HOST, [found.fingerprint], lambda _: False)

    # When each is looked for
    # Then it is found where it is
    assert (await find(0)).state == "done"
    dead = await find(1)
    assert dead.letter
    assert (dead.state, dead.attempts, dead.letter.reason) == ("dead", 1, "why")
    lease = (await find(2)).lease
    assert lease
    assert lease.worker == member.name
    last = await find(1499)
    assert (last.state, last.ahead) == ("queued", 1496)
    assert (await find(2000)).state == "never seen"
    assert not (await find(2000)).seen


async def test_dead_letters_come_newest_first_and_only_those_asked_for(crawl: Crawl) -> None:
    # Given dead letters of two kinds
    member = await crawl.join()
    refused = [Refused("start_urls", b"%d" % n, f"reason {n % 2}") for n in range(300)]
    await member.exchange(Batch(refused=refused))
    # When some of one kind are asked for
    letters = [dead async for dead in operations.dead(await opened(crawl), "reason 1", 3)]
    # Then the newest of these come
    assert [letter.url for letter in letters] == ["299", "297", "295"]


async def test_hosts_come_with_the_longest_queue_first_and_say_where_their_limits_are_from(
    crawl: Crawl,
) -> None:
    # Given three hosts, one with terms of its own and one at its limit
    member = await crawl.join(limit=1, policy={"slow.example": HostPolicy(5000, 2)})
    found = [*pages(2, "slow.example"), *pages(9, "big.example"), *pages(4)]
    await member.exchange(Batch(found=found, want=3))
    # When they are asked for
    hosts = await operations.hosts(await opened(crawl), limit=2)
    rest = (await operations.hosts(await opened(crawl)))[2]
    # Then they are as they are
    assert [(host.host, host.queued, host.active, host.due_ms) for host in hosts] == [
        ("big.example", 8, 1, None),
        (HOST, 3, 1, None),
    ]
    assert (rest.host, rest.delay_ms, rest.limit, rest.own) == ("slow.example", 5000, 2, True)
    assert 0 < (rest.due_ms or 0) <= 5000


# Export and import -------------------------------------------------------------------------------------


async def test_an_imported_crawl_continues_exactly_where_the_exported_one_was(
    crawl: Crawl, tmp_path: Path
) -> None:
    # Given a paused crawl with pages done, leased, dead and queued
    member = await crawl.join(max_attempts=3)
    leased = await member.exchange(Batch(found=[*pages(900), page(0, "b.example", 7)], want=4))
    done, failed, again, _ = ids(leased)
    failures = [Failed(failed, "why", final=True), Failed(again, "once more")]
    await member.exchange(Batch(done=[done], failed=failures))
    operator = await opened(crawl)
    await operations.pause(operator)
    # When it is exported and imported under another name
    file = tmp_path / "crawl.jsonl"
    written = await operations.export(operator, file)
    assert (written.queued, written.dead, written.seen) == (899, 1, 901)
    name = f"{crawl.frontier.crawl}-copy"
    copy = await operations.Crawl.open(crawl.frontier.client, name, new=True)
    imported = await operations.import_from(copy, file)
    # Then the same is there: counters, dead letters, attempts, and what was seen
    assert (imported.rejected, imported.restored.queued) == (0, 899)
    twin = Crawl(Frontier(crawl.frontier.client, name), crawl.redis)
    assert_conserved(twin)
    assert twin.letters() == crawl.letters()
    before, after = await crawl.frontier.status(), await twin.frontier.status()
    assert (after.enqueued, after.done, after.dead, after.run) == (before.enqueued, 1, 1, before.run)
    assert (await operations.check(copy)).findings == []
    worker = await twin.join()
    assert (await give(worker, pages(900))).known == 900
    assert set(await lease_all(worker, 899)) == {str(n) for n in range(900)} - {"1"}


async def test_what_was_seen_in_the_small_form_is_known_again_after_an_import(
    crawl: Crawl, tmp_path: Path
) -> None:
    # Given an export of a crawl of the small form, and an exact crawl that has seen something
    member = await crawl.join(seen_small=True, persist=True)
    await give(member, pages(300))
    await member.leave()
    file = tmp_path / "crawl.jsonl"
    await operations.export(await opened(crawl), file)
    client, name = crawl.frontier.client, crawl.frontier.crawl
    exact = Crawl(Frontier(client, f"{name}-exact"), crawl.redis)
    await give(await exact.join(), pages(1))
    # When it is imported under a new name
    copy = await operations.Crawl.open(client, f"{name}-copy", new=True)
    await operations.import_from(copy, file)
    # Then all is known again, and the exact crawl takes none of it
    twin = Crawl(Frontier(client, copy.name), crawl.redis)
    assert (await give(await twin.join(), pages(300))).known == 300
    with pytest.raises(operations.BadRequest, match="small form"):
        await operations.import_from(await opened(exact), file)


async def test_a_crawl_that_moves_is_not_exported(crawl: Crawl, tmp_path: Path) -> None:
    # Given a crawl with a live worker
    await give(await crawl.join(), pages(1))
    # When it is to be exported
    # Then that is refused, and no file is left that looks like an export
    with pytest.raises(BadRequest, match="pause it first"):
        await operations.export(await opened(crawl), tmp_path / "crawl.jsonl")
    assert list(tmp_path.iterdir()) == []


async def test_bad_lines_are_set_aside_with_their_number_and_the_rest_is_imported(
    crawl: Crawl, tmp_path: Path
) -> None:
    # Given an export in which lines were changed by hand
    member = await crawl.join()
    await give(member, pages(6))
    await member.leave()
    file = tmp_path / "crawl.jsonl"
    await operations.export(await opened(crawl), file)
    lines = file.read_text().splitlines()
    lines[1] = "no JSON"
    lines[2] = lines[2].replace(HOST, "elsewhere.example", 1)
    lines[3] = json.dumps({**json.loads(lines[3]), "payload": "gASVCg=="})
    lines[4] = json.dumps({**json.loads(lines[4]), "priority": 2**70})
    lines.insert(5, json.dumps({"kind": "seen", "fingerprints": [2**64]}))
    lines.insert(5, json.dumps({"kind": "dead", **{"id": f"{2**63}-0"}}))
    file.write_text("\n".join(lines) + "\n")
    # When it is imported
    name = f"{crawl.frontier.crawl}-copy"
    imported = await operations.import_from(
        await operations.Crawl.open(crawl.frontier.client, name, new=True), file
    )
    # Then the good lines are in, and the bad ones in a file with number and reason
    assert (imported.restored.queued, imported.rejected) == (2, 6)
    assert imported.aside
    aside = imported.aside.read_text().splitlines()
    assert [line.split("\t")[0] for line in aside] == ["2", "3", "4", "5", "6", "7"]
    assert "no JSON" in aside[0]


async def test_a_file_that_was_cut_short_is_not_imported_at_all(crawl: Crawl, tmp_path: Path) -> None:
    # Given an export without its end
    member = await crawl.join()
    await give(member, pages(6))
    await member.leave()
    file = tmp_path / "crawl.jsonl"
    operator = await opened(crawl)
    await operations.export(operator, file)
    file.write_text(file.read_text()[:-100])
    before = crawl.state()
    # When it is imported
    # Then it is refused before anything has changed
    with pytest.raises(BadRequest, match="cut short"):
        await operations.import_from(operator, file)
    assert crawl.state() == before


async def test_an_import_that_redis_ends_says_how_much_is_there(own_crawl: Crawl, tmp_path: Path) -> None:
    # Given an export, and a Redis that has no room for it
    member = await own_crawl.join()
    for first in range(0, 3000, 500):
        await give(member, [page(n) for n in range(first, first + 500)])
    await member.leave()
    file = tmp_path / "crawl.jsonl"
    await operations.export(await opened(own_crawl), file)
    copy = await operations.Crawl.open(own_crawl.frontier.client, "copy", new=True)
    used = own_crawl.redis.info("memory")["used_memory"]
    own_crawl.redis.config_set("maxmemory", used + 60_000)
    # When it is imported
    # Then that ends with a sentence that says how far it came
    with pytest.raises(
        BadRequest, match=r"Redis failed when [\d,]+ requests, 0 dead letters had been imported"
    ):
        await operations.import_from(copy, file)


# Check -------------------------------------------------------------------------------------------------


async def test_check_finds_nothing_wrong_with_a_crawl_under_way(crawl: Crawl) -> None:
    # Given a crawl with some of everything
    member = await crawl.join(limit=1)
    leased = await member.exchange(Batch(found=[*pages(700), *pages(3, "b.example", 4)], want=2))
    await member.exchange(Batch(failed=[Failed(ids(leased)[0], "why", final=True)], want=1))
    # When it is checked
    report = await operations.check(await opened(crawl))
    # Then all fits
    assert report.findings == []
    assert not report.moved


async def test_hosts_with_any_number_of_priorities_are_told_with_all_that_is_queued(crawl: Crawl) -> None:
    # Given a host with one priority, one with two, and one with more than are read in one step
    member = await crawl.join()
    of_c = [Found(None, "c.example", priority, b"x") for priority in range(1_500)]
    await give(member, [*pages(3), *pages(2, "b.example", 4), page(9, "b.example", 5), *of_c])
    # When the hosts are looked at
    hosts = await operations.hosts(await opened(crawl))
    # Then each has what its queues hold
    assert {host.host: host.queued for host in hosts} == {HOST: 3, "b.example": 3, "c.example": 1_500}


@pytest.mark.parametrize(
    "harm",
    [
        ("hincrby", "{tag}:meta", "queued", 5),
        ("hset", "{tag}:meta", "leased", 0),
        ("hset", "{tag}:meta", "queued", -5),
        ("hset", "{tag}:meta", "done", 40),
        ("sadd", "{base}:deep_hosts", "a.example"),
        ("hset", "{base}:hosts", "a.example", "2 -"),
        ("hset", "{base}:hosts", "a.example", "9 0"),
        ("hdel", "{base}:hosts", "b.example"),
        ("zrem", "{base}:ready", "c.example"),
        ("zadd", "{base}:ready", {"ghost.example": 1}),
        ("delete", "{base}:priorities:b.example"),
        ("zadd", "{base}:priorities:a.example", {"77": -77}),
        ("delete", "{tag}:workers"),
        ("sadd", "{base}:seen:0", "no number"),
        ("hset", "{base}:leases:gone", "5", "no lease"),
        ("xtrim", "{tag}:dead", 0),
    ],
)
async def test_what_is_wrong_is_found_and_repaired(crawl: Crawl, harm: tuple[Any, ...]) -> None:
    # Given a crawl with some of everything, and something in it that doesn't fit
    member = await crawl.join(limit=2)
    of_b = [*pages(3, "b.example", 4), page(9, "b.example", 5)]
    leased = await member.exchange(Batch(found=[*pages(300), *of_b], want=3))
    failed = [Failed(ids(leased)[0], "why", final=True)]
    await member.exchange(Batch(found=pages(2, "c.example"), failed=failed))
    command, key, *values = harm
    getattr(crawl.redis, command)(key.format(tag=crawl.tag, base=crawl.base), *values)
    operator = await opened(crawl)
    # When it is checked and repaired
    assert (await operations.check(operator)).findings
    report = await operations.check(operator, repair=True)
    # Then it fits again, what was done is said, and all that is queued can be leased
    assert report.repairs
    assert report.findings == []
    assert_conserved(crawl)
    status = await crawl.frontier.status()
    worker = await crawl.join(limit=0)
    assert len(await lease_all(worker, status.queued)) == status.queued


async def test_leases_of_a_worker_that_is_none_go_back_to_the_front(crawl: Crawl) -> None:
    # Given a worker that disappeared from the workers without giving anything back
    member = await crawl.join()
    await member.exchange(Batch(found=pages(5), want=2))
    crawl.redis.zrem(f"{crawl.tag}:workers", member.name)
    # When the crawl is repaired
    report = await operations.check(await opened(crawl), repair=True)
    # Then what it held comes first
    assert f"took back the 2 leases of {member.name}" in report.repairs
    assert await lease_all(await crawl.join(), 5) == ["0", "1", "2", "3", "4"]


async def test_no_crawl_is_hurt_by_a_key_of_another_type(crawl: Crawl) -> None:
    # Given a key of ours that somebody else has written
    await give(await crawl.join(), pages(2))
    crawl.redis.set(f"{crawl.base}:surprise", "?")
    crawl.redis.set(f"{crawl.base}:requests:b.example:0", "?")
    crawl.redis.hset(f"{crawl.tag}:meta", "paused", "perhaps")
    # When the crawl is checked
    report = await operations.check(await opened(crawl))
    # Then each is named
    assert report.findings == [
        f"the key {crawl.base}:requests:b.example:0 holds a string, not a list",
        f"the key {crawl.base}:surprise belongs to nothing",
    ]


def test_the_operator_imports_no_scrapy() -> None:
    # Given all modules of the frontier, the operator's among them
    folder = Path(operations.__file__).parents[1]
    # When their imports are read
    importing = [
        f.name for f in folder.rglob("*.py") if re.search(r"^\s*(from|import) scrapy", f.read_text(), re.M)
    ]
    # Then none is of Scrapy
    assert importing == []
