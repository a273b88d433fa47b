"""`scrapy frontier VERB`: where a crawl stands, where a URL is, and what can be done about it."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from contextlib import aclosing

from pymongo.errors import PyMongoError
from redis.exceptions import RedisError
from scrapy.commands import ScrapyCommand

from crawlers.frontier import FrontierError, connect, printable_lines
from crawlers.mongo import BadMongoSetting
from crawlers.mongo.errors import first_words
from crawlers.options import BadSetting, ensure_all
from crawlers.retrying import RedisUnreachable, until_redis_answers

from .desk import Desk, Failed
from .verbs import VERBS

_OPTIONS = {
    "crawl": {"metavar": "NAME", "help": "the crawl; default: the only one in Redis"},
    "json": {"action": "store_true", "help": "print JSON"},
    "yes": {"action": "store_true", "help": "don't ask (drop, clear, import)"},
    "priority": {"type": int, "metavar": "N", "help": "higher goes first within a host, default 0 (add)"},
    "reason": {"metavar": "TEXT", "help": "only dead letters whose reason holds TEXT (dead, retry-dead)"},
    "limit": {"type": int, "metavar": "N", "help": "at most N lines, default 20, 0: all (hosts, dead)"},
    "spider": {"metavar": "NAME", "help": "with this spider's own settings (where, hosts)"},
    "repair": {"action": "store_true", "help": "put right what is wrong (check)"},
    "from-scrapy-redis": {"metavar": "SPIDER", "help": "a crawl of stock scrapy-redis (import)"},
    "requests-key": {"metavar": "KEY", "help": "its requests, default SPIDER:requests (import)"},
    "dupefilter-key": {"metavar": "KEY", "help": "what it has seen, default SPIDER:dupefilter (import)"},
}
_FOR_ALL = {"crawl", "json"}


class Command(ScrapyCommand):
    """As Scrapy finds it; exit status 0, 1 for a check that found something, 2 for what can't be done."""

    requires_project = True
    requires_crawler_process = False
    default_settings = {"LOG_ENABLED": False}  # noqa: RUF012  # Scrapy's way

    def syntax(self) -> str:
        """For the help text."""
        return "VERB [ARGUMENT] [options]"

    def short_desc(self) -> str:
        """For the list of commands."""
        return "Ask, steer, repair and move a crawl in Redis"

    def long_desc(self) -> str:
        """For the help text, which takes no line breaks."""
        verbs = "; ".join(
            f"{name} {verb.argument}".strip() + f": {verb.does}" for name, verb in VERBS.items()
        )
        return f"{self.short_desc()}. Verbs: {verbs}."

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """The options of all verbs; which of them a verb takes is looked at later."""
        super().add_options(parser)
        parser.add_argument("verb", nargs="?", help=argparse.SUPPRESS)
        parser.add_argument("argument", nargs="?", help=argparse.SUPPRESS)
        for name, option in _OPTIONS.items():
            parser.add_argument(f"--{name}", **option)  # type: ignore[arg-type]

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        """Does what was asked for, or says in one sentence why not."""
        if args and opts.argument is None and not args[0].startswith("-"):
            opts.argument = args.pop(0)  # argparse looks for it beside the verb only, not behind options
        verb = VERBS.get(opts.verb or "")
        opts.arguments = [opts.argument, *args]
        if verb and verb.argument.endswith("…"):
            args = [option for option in args if option.startswith("-")]
        try:
            assert self.settings is not None
            ensure_all(self.settings)
            _check(args, opts)
            self.exitcode = asyncio.run(self._run(opts))
        except (Failed, FrontierError, BadSetting, BadMongoSetting, RedisUnreachable) as error:
            print(f"scrapy frontier: {printable_lines(str(error))}", file=sys.stderr)
            self.exitcode = 2
        except KeyboardInterrupt:
            print("scrapy frontier: interrupted", file=sys.stderr)
            self.exitcode = 130
        except BrokenPipeError:  # its reader, such as head, has had enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    async def _run(self, opts: argparse.Namespace) -> int:
        assert self.settings is not None
        settings = self.settings
        client = connect(settings)
        verb = VERBS[opts.verb]
        try:
            desk = await until_redis_answers(lambda: Desk.open(client, settings, opts), patience_s=0)
            async with aclosing(desk.store):
                return await verb.run(desk)
        except PyMongoError as error:
            text = f"MongoDB, where a part of the queues is, failed: {first_words(error)}"
            raise Failed(f"{text}. See MONGO_URI") from None
        except RedisError as error:
            raise Failed(f"Redis failed, and what was asked for may be done in part: {error}") from None
        finally:
            await client.aclose()


def _check(args: list[str], opts: argparse.Namespace) -> None:
    """Raises :class:`Failed` for a verb that is none, and for what doesn't belong to it."""
    verb = VERBS.get(opts.verb or "")
    if verb is None:
        given = f"there is no verb {opts.verb!r}" if opts.verb else "no verb was given"
        raise Failed(f"{given}; there are {', '.join(VERBS)}")
    if args:
        raise Failed(f"{args[0]!r} can't be used here: see scrapy frontier -h")
    foreign = opts.verb == "import" and opts.from_scrapy_redis
    if verb.argument and not opts.argument and not foreign:
        raise Failed(f"say which: scrapy frontier {opts.verb} {verb.argument}")
    if opts.argument and (not verb.argument or foreign):
        raise Failed(f"{opts.verb} takes no argument, and got {opts.argument!r}")
    for name in _OPTIONS:
        given = getattr(opts, name.replace("-", "_"))
        if given not in (None, False) and name not in _FOR_ALL | verb.options:
            raise Failed(f"--{name} is not for {opts.verb}")
