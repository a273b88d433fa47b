"""Which answers of Redis are waited out, and what is said of each."""

from __future__ import annotations

import asyncio
import logging

import pytest
from redis._parsers.base import BaseParser
from redis.exceptions import ClusterError, RedisClusterException, ResponseError, SlotNotCoveredError

from crawlers.retrying import until_redis_answers

_SCRIPT = "script: 1f2e, on @user_script:9."
WAITED_OUT = [
    "TRYAGAIN Multiple keys request during rehashing of slot",
    "MOVED 866 127.0.0.1:7001",
    "ASK 866 127.0.0.1:7001",
    "CLUSTERDOWN The cluster is down",
    "CLUSTERDOWN Hash slot not served",
    f"ERR Attempted to access a non local key in a cluster node {_SCRIPT}",
    "ERR Error running script (call to f_1f): @user_script:9: Lua script attempted to access a non local"
    " key in a cluster node",
    f"ERR Script attempted to access a non local key in a cluster node {_SCRIPT}",
    f"ERR Script attempted to execute a command while the cluster is down {_SCRIPT}",
    f"READONLY You can't write against a read only replica. {_SCRIPT}",
    "ERR Error running script (call to f_1f): @user_script:9: -READONLY You can't write against a read only"
    " replica.",
    "ERR Error running script (call to f_1f): @user_script:9: -OOM command not allowed when used memory >"
    " 'maxmemory'.",
    f"OOM command not allowed when used memory > 'maxmemory'. {_SCRIPT}",
    "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
    "UNKILLABLE Sorry the script already executed write commands against the dataset.",
    f"ERR Error running script: Script killed by user with SCRIPT KILL. {_SCRIPT}",
    "LOADING Redis is loading the dataset in memory",
    "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
    "MISCONF Errors writing to the AOF file: No space left on device",
    "NOAUTH Authentication required.",
    "WRONGPASS invalid username-password pair or user is disabled.",
    "NOPERM User crawler has no permissions to run the 'evalsha' command",
    "NOREPLICAS Not enough good replicas to write.",
    "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)",
    "DENIED Redis is running in protected mode",
    "ERR max number of clients reached",
]


def _outcome(*errors: Exception) -> str:
    """What comes of a call that raises these, one at a time, and then answers."""
    left = list(errors)

    async def call() -> str:
        if left:
            raise left.pop(0)
        return "answered"

    return asyncio.run(until_redis_answers(call))


@pytest.mark.parametrize("answer", WAITED_OUT)
def test_a_refusal_of_a_moment_is_waited_out_and_said(answer: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        assert _outcome(BaseParser.parse_error(answer)) == "answered"
    assert "Nothing is lost; trying again" in caplog.text


@pytest.mark.parametrize(
    "error",
    [
        ClusterError("TTL exhausted."),
        SlotNotCoveredError('Slot "866" is not covered by the cluster.'),
        RedisClusterException(
            "Redis Cluster cannot be connected. Please provide at least one reachable node"
        ),
        ConnectionResetError(104, "Connection reset by peer"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_so_is_what_the_client_says_of_a_cluster_or_a_line(error: Exception) -> None:
    assert _outcome(error) == "answered"


@pytest.mark.parametrize(
    "answer",
    [
        f"ERR user_script:7: attempt to index a nil value: loading busy readonly {_SCRIPT}",
        "WRONGTYPE Operation against a key holding the wrong kind of value",
        "ERR unknown command 'EVALSHA'",
        "CROSSSLOT Keys in request don't hash to the same slot",
    ],
)
def test_a_mistake_is_not_repeated_whatever_its_text_mentions(answer: str) -> None:
    with pytest.raises(ResponseError):
        _outcome(BaseParser.parse_error(answer))
