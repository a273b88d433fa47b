"""Leases beyond the limit of their host start in the place of others, never beside them."""

from __future__ import annotations

from crawlers.frontier import Lease
from crawlers.scheduler.completion import Held
from crawlers.scheduler.spares import Spares

A, B = "a.example", "b.example"


def _held(*ids: int, host: str = A) -> list[Held]:
    return [Held(Lease(id_, host, 0, 0, b""), 0.0) for id_ in ids]


def _ids(held: list[Held]) -> list[int]:
    return [one.lease.id for one in held]


def test_of_what_was_leased_the_last_wait() -> None:
    # Given four leases of a host, of which two have no slot, and one of another
    spares = Spares()
    leased = [*_held(1, 2), *_held(3, host=B), *_held(4, 5)]
    # When they are sorted / Then what has a slot may start
    assert sorted(_ids(spares.sort(leased, {A: 2}))) == [1, 2, 3]
    assert len(spares) == 2


def test_one_starts_for_each_that_is_over() -> None:
    # Given two leases that wait
    spares = Spares()
    spares.sort(_held(1, 2, 3), {A: 2})
    # When leases of their host and of another are over
    starting = [_ids(spares.follow([host])) for host in (B, A, A, A)]
    # Then they start in the order in which they were leased
    assert starting == [[], [2], [3], []]
    assert not spares


def test_what_was_over_before_the_frontier_heard_of_it_lets_others_start() -> None:
    # Given a worker without spares, two of whose pages end while an exchange is under way
    spares = Spares()
    spares.told()
    spares.follow([A, A])
    # When the reply has three spares
    starting = spares.sort(_held(7, 8, 9), {A: 3})
    # Then two of them take the places of those pages, which the frontier counts as taken
    assert _ids(starting) == [7, 8]
    assert len(spares) == 1


def test_what_the_frontier_has_heard_of_lets_nothing_start() -> None:
    # Given a worker that has told of all its pages that are over
    spares = Spares()
    spares.follow([A, A])
    spares.told()
    # When the reply has three spares / Then all of them wait
    assert spares.sort(_held(7, 8, 9), {A: 3}) == []
    assert len(spares) == 3


def test_what_waits_starts_when_the_frontier_says_that_it_has_a_slot() -> None:
    # Given two leases that wait
    spares = Spares()
    spares.sort(_held(1, 2), {A: 2})
    # When a reply says that one of them, and then that none, has no slot
    starting = [_ids(spares.sort([], {A: 1})), _ids(spares.sort([], {}))]
    # Then they start
    assert starting == [[1], [2]]


def test_what_is_dropped_is_over_without_a_start() -> None:
    # Given leases of two hosts that wait
    spares = Spares()
    spares.sort([*_held(1, 2), *_held(3, host=B)], {A: 2, B: 1})
    # When those of one host are dropped
    dropped = spares.drop(A)
    # Then the other's wait on, and what the frontier doesn't know yet lets nothing start
    assert dropped == [1, 2]
    assert len(spares) == 1
    assert spares.sort([], {A: 2, B: 1}) == []
    assert spares.drop(A) == []


def test_a_worker_asks_for_spares_where_it_has_or_had_slots() -> None:
    # Given a host where pages are under way, and one whose last page is over
    spares = Spares()
    spares.follow([B])
    # When its slots are counted / Then those that it keeps are told, and where it may have others
    assert sorted(spares.slots([A, A, A])) == [(A, 3), (B, 0)]
    spares.told()
    assert spares.slots([A]) == [(A, 1)]
