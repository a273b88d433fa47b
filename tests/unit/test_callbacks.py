# Callbacks need not look at their response.
# ruff: noqa: ARG001, ARG002, ARG003, ARG005
"""A request comes back with exactly the callback that it had, or is refused; also where names mislead."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest
import scrapy
from scrapy.http import Response
from scrapy.spiders import CrawlSpider, Rule
from scrapy.utils.test import get_crawler

from crawlers.frontier import BadPayload, Lease, NotPlainData, Unknown
from crawlers.scheduler.requests import RequestCodec

URL = "http://a.example/"


def parse(self: scrapy.Spider, response: Response) -> str:
    """A function of some library, whose name is that of another callback."""
    return "imported"


def decorated(function: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator that leaves no trace of the name."""

    def wrapper(*args: Any) -> Any:
        return "decorated " + function(*args)

    return wrapper


class UK:
    """Parses for a spider."""

    def parse(self, response: Response) -> str:
        """Its own way."""
        return "uk"


class Base(scrapy.Spider):
    """What others extend."""

    def parse(self, response: Response) -> str:
        """Hidden by the spider's."""
        return "base"

    def parse_hidden(self, response: Response) -> str:
        """Hidden as well."""
        return "hidden"

    def __private(self, response: Response) -> str:
        return "private"

    def private(self) -> Callable[..., Any]:
        """Its private one."""
        return self.__private


class Site(Base):
    """Callbacks of all kinds."""

    name = "site"
    parse_product = parse
    parse_lambda = lambda self, response: "lambda"  # noqa: E731
    parse_static = staticmethod(lambda response: "static")
    parse_partial = functools.partialmethod(lambda self, which, response: which, "partialmethod")

    def __init__(self) -> None:
        super().__init__()
        self.parse_uk = UK().parse
        self.parse_instance = lambda response: "instance"
        self.parse_bound = functools.partial(lambda which, response: which, "partial")

    def parse(self, response: Response) -> str:
        """The default."""
        return "site"

    parse_hidden = decorated(parse)
    alias = Base.parse_hidden

    @decorated
    def parse_decorated(self, response: Response) -> str:
        """Decorated."""
        return "method"

    @classmethod
    def parse_class(cls, response: Response) -> str:
        """Of the class."""
        return "class"

    def super_parse(self) -> Callable[..., Any]:
        """The hidden default."""
        return super().parse


CALLBACKS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "the default": (lambda s: s.parse, "site"),
    "an imported function as an attribute": (lambda s: s.parse_product, "imported"),
    "super().parse": (lambda s: s.super_parse(), "base"),
    "super().parse_hidden, of the class beyond": (lambda s: super(Site, s).parse_hidden, "hidden"),
    "what hides it": (lambda s: s.parse_hidden, "decorated site"),
    "an alias of a hidden one": (lambda s: s.alias, "hidden"),
    "a decorated method": (lambda s: s.parse_decorated, "decorated method"),
    "a private method": (lambda s: s.private(), "private"),
    "a method of another object": (lambda s: s.parse_uk, "uk"),
    "a lambda of the class": (lambda s: s.parse_lambda, "lambda"),
    "a lambda of the instance": (lambda s: s.parse_instance, "instance"),
    "a static method": (lambda s: s.parse_static, "static"),
    "a class method": (lambda s: s.parse_class, "class"),
    "a partial of the instance": (lambda s: s.parse_bound, "partial"),
    "a partial method": (lambda s: s.parse_partial, "partialmethod"),
}


def codec(spider: scrapy.Spider) -> RequestCodec:
    """One worker's."""
    fingerprinter = get_crawler(type(spider)).request_fingerprinter
    fingerprinter = fingerprinter or scrapy.utils.request.RequestFingerprinter()
    return RequestCodec(spider, fingerprinter, lambda failure: failure, 10**6)


def elsewhere(request: scrapy.Request, spider: scrapy.Spider, other: scrapy.Spider) -> scrapy.Request:
    """What `request` of `spider` is on the worker of `other`."""
    payload = codec(spider).to_found(request, None).payload
    return codec(other).to_request(Lease(1, "a.example", 0, 0, payload))


@pytest.mark.parametrize(("pick", "outcome"), CALLBACKS.values(), ids=CALLBACKS)
@pytest.mark.parametrize("role", ["callback", "errback"])
def test_on_another_worker_exactly_that_callable_is_called(
    pick: Callable[[Any], Any], outcome: str, role: str
) -> None:
    # Given a request of one worker, with such a callback or errback
    here, there = Site(), Site()
    request = scrapy.Request(URL, **{"callback": here.parse, role: pick(here)})
    # When it comes to another
    back = elsewhere(request, here, there)
    # Then that one calls its own of the same kind
    method = getattr(back, role) or there.parse
    assert method(None) == outcome


REFUSED: dict[str, Callable[[Any], Any]] = {
    "a lambda": lambda s: lambda response: None,
    "a function of the module": lambda s: decorated,
    "a partial made on the way": lambda s: functools.partial(s.parse, 1),
    "a class": lambda s: UK,
    "a method of an object that is no attribute": lambda s: UK().parse,
    "a method of another spider": lambda s: Site().parse,
    "Scrapy's own": lambda s: s.update_settings,
    "a method of the crawler": lambda s: s.logger.info,
}


@pytest.mark.parametrize("pick", REFUSED.values(), ids=REFUSED)
def test_what_no_attribute_of_the_spider_is_is_refused_with_what_to_do(pick: Callable[[Any], Any]) -> None:
    # Given a request whose callback only this process has
    spider = Site()
    request = scrapy.Request(URL, callback=pick(spider))
    # When it is to be queued, then it is refused, in a sentence that names the spider
    with pytest.raises(NotPlainData, match=r"is not a method of the spider 'site'.*cb_kwargs"):
        codec(spider).to_found(request, None)


def test_an_attribute_that_is_assigned_anew_is_refused() -> None:
    # Given a spider that makes a callback for each page under one name
    spider = Site()
    worker = codec(spider)
    worker.to_found(scrapy.Request(URL, callback=spider.parse_instance), None)
    spider.parse_instance = lambda response: "another"
    # When the next is to be queued, then it is refused, for the first would be called with it
    with pytest.raises(NotPlainData, match="was another callable before"):
        worker.to_found(scrapy.Request(URL, callback=spider.parse_instance), None)


class Ruled(CrawlSpider):
    """A CrawlSpider with a `parse` of its own, which Scrapy doesn't call by itself."""

    name = "ruled"
    rules = (Rule(callback="parse_rule"),)

    def parse(self, response: Response) -> str:
        """Only where it is named."""
        return "parse"

    def parse_rule(self, response: Response) -> str:
        """Of a rule."""
        return "rule"


def test_a_crawl_spiders_parse_is_called_where_it_is_named_and_only_there() -> None:
    # Given requests of a CrawlSpider, with its parse, with none, and of a rule
    here, there = Ruled(), Ruled()
    named, unnamed, ruled = (
        elsewhere(scrapy.Request(URL, callback=callback), here, there)
        for callback in (here.parse, None, here._callback)
    )
    # When they come to another worker, then each has what it had
    assert (named.callback, unnamed.callback, ruled.callback) == (there.parse, None, there._callback)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("parse_of_tomorrow", Unknown),
        ("Base.parse_of_tomorrow", Unknown),
        ("Tomorrow.parse", Unknown),
        ("__init__", BadPayload),
        ("Base.__init__", BadPayload),
        ("Spider.update_settings", BadPayload),
        ("update_settings", BadPayload),
        ("name", BadPayload),
        ("os.system('x')", BadPayload),
        ("logger.info", Unknown),
    ],
)
def test_a_name_that_is_no_callback_is_never_looked_up(name: str, kind: type[Exception]) -> None:
    # Given a payload that somebody wrote, when it comes to a worker
    spider = Site()
    payload = codec(spider).to_found(scrapy.Request(URL, errback=spider.alias), None).payload
    payload = payload.replace(b"\xa5alias", bytes([0xA0 + len(name)]) + name.encode())
    # Then it is refused; what may be a newer spider's waits for one
    with pytest.raises(BadPayload, match="the spider has no callback") as refused:
        codec(spider).to_request(Lease(1, "a.example", 0, 0, payload))
    assert type(refused.value) is kind
