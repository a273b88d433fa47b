"""Which lines of the log somebody reads."""

from __future__ import annotations

import logging

import pytest

from crawlers.scheduler.logs import is_logged


@pytest.mark.parametrize(
    ("at", "of_parent", "propagates", "level", "logged"),
    [
        ([], [logging.INFO], True, logging.DEBUG, False),
        ([], [logging.INFO], True, logging.INFO, True),
        ([], [logging.INFO, logging.DEBUG], True, logging.DEBUG, True),
        ([logging.DEBUG], [logging.INFO], True, logging.DEBUG, True),
        ([], [logging.DEBUG], False, logging.DEBUG, False),
    ],
)
def test_a_line_is_logged_where_a_handler_takes_it(
    at: list[int], of_parent: list[int], propagates: bool, level: int, logged: bool
) -> None:
    # Given a logger and its parent, each with handlers of some levels
    parent = logging.Logger("parent")
    child = logging.Logger("parent.child")
    child.parent, child.propagate = parent, propagates
    for logger, levels in ((child, at), (parent, of_parent)):
        for each in levels:
            logger.addHandler(logging.NullHandler(each))
    # When it is asked whether a line would be seen
    # Then it is where a handler on its way takes it
    assert is_logged(child, level) is logged
