"""Lost replies, forgotten scripts, restarts and lost writes of Redis: nothing happens twice or never."""

from __future__ import annotations

import shutil

from crawlers.frontier import Batch, Failed, Member, Refused, Reply
from crawlers.retrying import until_redis_answers
from deploy.local.servers import RedisServer

from .crawl import Crawl, give, ids, link, links, names, want


async def _until_answered(member: Member, batch: Batch) -> Reply:
    """An exchange sent again and again until Redis answers, as workers do."""
    prepared = member.prepare(batch)
    return await until_redis_answers(lambda: member.send(prepared), patience_s=20)


async def test_an_exchange_sent_twice_has_one_effect_and_the_same_answer(crawl: Crawl) -> None:
    # Given a worker with something of everything to say
    member = await crawl.join(limit=0)
    await give(member, links(9))
    done, failed, dead, *_ = ids(await want(member, 5))
    prepared = member.prepare(
        Batch(
            found=[link("new"), link("seen", fingerprint=1)],
            done=[done],
            failed=[Failed(failed, "broken"), Failed(dead, "broken", final=True)],
            refused=[Refused("start_urls", b"entry", "it is no URL")],
            want=3,
        )
    )
    # When the reply is lost, and the exchange is sent again
    lost = await member.send(prepared)
    before = crawl.recount()
    again = await member.send(prepared)
    # Then the answer is the same, and nothing was done twice
    assert (again.leases, again.counts) == (lost.leases, lost.counts)
    assert crawl.recount() == before
    assert len(crawl.letters()) == 2


async def test_an_exchange_that_leased_nothing_leases_nothing_when_sent_again(crawl: Crawl) -> None:
    # Given a worker that wanted something when there was nothing, and lost the reply
    member, other = await crawl.join(), await crawl.join()
    prepared = member.prepare(Batch(want=5))
    await member.send(prepared)
    # When there is something by the time it asks again
    await give(other, links(5))
    # Then it gets the same answer, and the work with its next question
    assert (await member.send(prepared)).leases == []
    assert len((await want(member, 5)).leases) == 5


async def test_an_exchange_sent_again_after_the_worker_was_reaped_is_fenced(crawl: Crawl) -> None:
    # Given a worker that lost a reply with leases, and was taken for dead
    member, other = await crawl.join(), await crawl.join()
    await give(member, links(2))
    prepared = member.prepare(Batch(want=2))
    await member.send(prepared)
    crawl.expire(member)
    taken = await want(other, 2)
    # When it asks again
    again = await member.send(prepared)
    # Then the leases are the other's alone
    assert (again.fenced, again.leases, names(taken)) == (True, [], ["0", "1"])


async def test_a_redis_that_forgot_its_scripts_is_taught_again(crawl: Crawl) -> None:
    # Given a crawl under way
    member = await crawl.join()
    await give(member, links(3))
    # When the scripts are flushed before each kind of call
    crawl.redis.script_flush()
    leased = await want(member, 1)
    crawl.redis.script_flush()
    await crawl.join()
    crawl.redis.script_flush()
    await crawl.frontier.claim(f"{crawl.tag}:start_urls", 1, 1000)
    crawl.redis.script_flush()
    await member.leave()
    crawl.redis.script_flush()
    await crawl.frontier.purge()
    # Then nobody has noticed
    assert names(leased) == ["0"]
    assert (await crawl.frontier.status()).queued == 3


async def test_a_crawl_goes_on_where_it_was_after_redis_is_killed_and_restarted(
    server: RedisServer, own_crawl: Crawl
) -> None:
    # Given a crawl under way with queue, leases and dead letters
    member = await own_crawl.join(limit=0)
    await give(member, [link(str(n), f"{n % 3}.example", fingerprint=n) for n in range(100)])
    leased = await want(member, 10)
    await member.exchange(Batch(failed=[Failed(leased.leases[0].id, "broken", final=True)]))
    before = own_crawl.state()
    # When Redis is killed and started again
    server.kill()
    server.start()
    # Then all is as it was, and the same worker goes on
    assert own_crawl.state() == before
    reply = await _until_answered(member, Batch(done=ids(leased)[1:], want=100))
    assert (reply.counts.done, reply.counts.dead, len(reply.leases)) == (9, 1, 90)


async def test_an_exchange_repeated_after_a_restart_has_one_effect(
    server: RedisServer, own_crawl: Crawl
) -> None:
    # Given an exchange whose reply was lost because Redis was killed
    member = await own_crawl.join()
    await give(member, links(5))
    prepared = member.prepare(Batch(found=[link("new")], want=3))
    lost = await member.send(prepared)
    server.kill()
    server.start()
    # When it is sent again
    again = await until_redis_answers(lambda: member.send(prepared), patience_s=20)
    # Then the answer is that of the first time
    assert (again.leases, again.counts) == (lost.leases, lost.counts)


async def test_after_redis_lost_its_last_writes_nothing_is_leased_to_two(
    server: RedisServer, own_crawl: Crawl
) -> None:
    # Given two workers, and a copy of what Redis had on its disk at one moment
    first = await own_crawl.join("first", limit=0)
    second = await own_crawl.join("second", limit=0)
    await give(first, links(10))
    await want(first, 2)
    copy = server.folder.with_name("copy")
    shutil.copytree(server.folder, copy)
    # When both go on, a third joins, and Redis comes back as it was at that moment
    await first.exchange(Batch(done=[1], want=2))
    await want(second, 2)
    third = await own_crawl.join("third", limit=0)
    await want(third, 2)
    server.kill()
    shutil.rmtree(server.folder)
    shutil.move(copy, server.folder)
    server.start()
    replies = [await _until_answered(member, Batch(want=1)) for member in (first, second, third)]
    # Then who knows of writes that are lost is out, and its pages are handed out anew
    assert [reply.fenced for reply in replies] == [True, True, True]
    anew = await own_crawl.join("anew", limit=0)
    assert sorted(names(await want(anew, 20)), key=int) == [str(n) for n in range(10)]


async def test_a_worker_of_which_redis_lost_a_write_is_fenced_and_gives_back_what_it_held(
    crawl: Crawl,
) -> None:
    # Given a worker with two leases, and a Redis that forgot its last exchange
    member, other = await crawl.join(limit=0), await crawl.join(limit=0)
    await give(member, links(4))
    await want(member, 2)
    crawl.redis.hincrby(f"{crawl.base}:worker:{member.name}", "sequence", -1)
    # When it completes them and wants more
    reply = await member.exchange(Batch(done=[1, 2], want=2))
    # Then it is fenced, and all is another's, without an attempt being counted
    assert (reply.fenced, reply.leases) == (True, [])
    leased = await want(other, 10)
    assert names(leased) == ["0", "1", "2", "3"]
    assert {lease.attempts for lease in leased.leases} == {0}


async def test_a_crawl_of_which_redis_lost_everything_fences_its_workers(
    server: RedisServer, own_crawl: Crawl
) -> None:
    # Given a crawl under way
    member = await own_crawl.join()
    await give(member, links(3))
    await want(member, 1)
    # When Redis comes back empty
    server.kill()
    shutil.rmtree(server.folder)
    server.start()
    # Then the worker is out, has written nothing, and can join anew
    assert (await _until_answered(member, Batch(found=links(3), done=[1], want=5))).fenced
    assert own_crawl.key_names() == []
    again = await own_crawl.join()
    assert (await give(again, links(3))).counts.queued == 3
