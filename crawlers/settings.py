"""The wiring of Scrapy, and each setting of our own with its unit, its default and why.

Whatever differs between machines comes from the environment: REDIS_URL, MONGO_URI, MONGO_DATABASE.
"""

import os

BOT_NAME = "crawlers"
SPIDER_MODULES = ["crawlers.spiders"]
NEWSPIDER_MODULE = "crawlers.spiders"
COMMANDS_MODULE = "crawlers.commands"

# Who asks: put a name and an address here under which a site's owner can reach you.
USER_AGENT = os.environ.get("CRAWLER_USER_AGENT", "crawlers (set USER_AGENT to name and contact)")

# Redis: the frontier ---------------------------------------------------------------------------------

SCHEDULER = "crawlers.scheduler.Scheduler"
DOWNLOADER = "crawlers.scheduler.Downloader"
# The middlewares that belong to these two, in place of Scrapy's own for robots.txt and AutoThrottle.
ADDONS = {
    "crawlers.scheduler.FrontierAddon": 0,
    "crawlers.fast.FastAddon": 100,
    "crawlers.downloads.DownloadsAddon": 200,
}

# scrapy-redis' own settings. REDIS_HOST and REDIS_PORT count where no REDIS_URL is given; without any it
# is localhost:6379.
REDIS_URL = os.environ.get("REDIS_URL")
# True: the next run of a finished crawl skips what this one has seen.
SCHEDULER_PERSIST = False
# True: the first worker drops what an interrupted crawl left.
SCHEDULER_FLUSH_ON_START = False

# A worker not heard of for so many seconds is taken for dead, and its pages go to others: short enough that a
# killed worker has been replaced within 30 s.
FRONTIER_LEASE_TTL_S = 20
# An exchange counts once so many replicas of Redis have it, so that a failover to one that lags behind
# loses nothing; without them workers wait and say so. 0: Redis' own word counts. Not with redis+cluster.
FRONTIER_REPLICAS = 0
# A callback that blocks is no death: a process beside the worker goes on to renew its lease, for so many
# seconds at most. Beyond, its pages go to others, and the one that blocks has failed an attempt. Longer than
# any callback should take, and short enough that the pages that wait behind it are crawled today. It is never
# less than FRONTIER_LEASE_TTL_S. 0: no limit.
FRONTIER_CALLBACK_LIMIT_S = 900
# A page whose callback or pipeline fails, or whose worker dies, is tried so many times in all.
FRONTIER_MAX_ATTEMPTS = 3
# While a new version is deployed, older workers come upon requests that only newer ones can run: of a
# callback, a request class or a form that they don't know. These wait so many seconds for a worker that can,
# and are then dead letters: some minutes, which a deployment takes. 0: dead letters at once.
FRONTIER_UNKNOWN_WAIT_S = 300
# Requests that wait in a worker, so that it need not wait for Redis. 0: as many as CONCURRENT_REQUESTS.
FRONTIER_PREFETCH = 0
# A request that takes more bytes in the queue is set aside. Bodies of POST requests count.
FRONTIER_MAX_REQUEST_BYTES = 512 * 1024
# Requests of a crawl that stay in Redis: a million take some 92 MB. The others wait in MongoDB until it is
# their turn. 0: all stay. It needs MONGO_URI and MONGO_DATABASE, the same for all workers.
FRONTIER_QUEUED_IN_REDIS = 1_000_000
# So many requests of one host and priority move at a time, and as many stay ahead of them: some 92 KB. More
# make longer steps, and hosts that keep more in Redis.
FRONTIER_QUEUE_CHUNK = 1000
# Dead letters of a crawl that stay in Redis: a host of a million pages that is given up must not fill it. The
# oldest of more move to MongoDB, where `scrapy frontier` finds them. 0: all stay.
FRONTIER_DEAD_LETTERS = 100_000
# After so many seconds in which no page of a worker was done it says, once, what the crawl waits for: hosts
# that are left alone, a pause, MongoDB, others. `scrapy frontier status` says it too. 0: never.
FRONTIER_QUIET_S = 10
# Seconds to wait for Redis at start and at the end, before giving up. In between there is no limit.
FRONTIER_PATIENCE_S = 15
# Where a worker joins that was started with another spider, other arguments or settings than the first of the
# run: `warn` says what differs, `refuse` ends it.
FRONTIER_OTHER_JOBS = "warn"
# Paths of request classes of your own that may be queued.
FRONTIER_REQUEST_CLASSES: list[str] = []

# What is kept of URLs that were seen. `exact`: 64 bits in 9 to 10 bytes a URL; of 100 million none is taken
# for another. `small`: 44 bits in 5 bytes; of 100 million some 280 are taken for one that was seen, and so
# never crawled. A change holds from the next run on that starts with nothing seen.
FRONTIER_SEEN = "exact"

# Links that a worker knows to have been seen end next to the spider, which halves the CPU of a page of which
# 19 of 20 links were. False: never, where a spider middleware of yours changes URLs or `dont_filter`; True:
# always, though spider middlewares of yours see less; "auto": where Scrapy's and ours are the only ones.
FRONTIER_DROP_EARLY = "auto"
# A page is one task from lease to completion, where Scrapy has eight and a chain of generators: a quarter of
# the instructions of a page with 20 Links, a fifth with as many requests. False: all of Scrapy's own steps,
# for an extension that reaches into its engine or scraper.
FRONTIER_LEAN = True

# MongoDB: the items ----------------------------------------------------------------------------------

ITEM_PIPELINES = {
    "crawlers.pipelines.ValidatePipeline": 100,
    "crawlers.pipelines.MongoPipeline": 900,
}
MONGO_URI = os.environ.get("MONGO_URI", "mongodb://127.0.0.1:27017")
MONGO_DATABASE = os.environ.get("MONGO_DATABASE", "crawlers")
# Seconds to wait for MongoDB at start, before the worker joins the crawl; then it ends with status 1. 0: one
# attempt. A larger number waits longer. Once it has started there is no limit.
MONGO_PATIENCE_S = 15

# Sites -----------------------------------------------------------------------------------------------

ROBOTSTXT_OBEY = True
# The frontier keeps what follows over all workers; so does AUTOTHROTTLE_ENABLED, which is off.
CONCURRENT_REQUESTS_PER_DOMAIN = 8
# What shares them: the `host`, its registered `domain`, or the `ip` address that it resolves to.
FRONTIER_HOST_KEY = "host"
# Seconds from the start of one request to a host to the start of the next. 0: none.
DOWNLOAD_DELAY = 0
# Scrapy's 0.5 makes of a delay of 1 s one of 0.5 to 1.5 s. Here a delay is what was promised to a site.
DOWNLOAD_DELAY_JITTER = 0
CONCURRENT_REQUESTS = 32
# `hosts`: each host has its turn, and priorities hold within it. `priority`: they hold over all hosts.
FRONTIER_ORDER = "hosts"
# Seconds for which a robots.txt is good; RFC 9309 asks for a day at most.
FRONTIER_ROBOTS_TTL_S = 86_400
# Bytes of Redis for all robots.txt of a crawl, compressed; those used longest ago go first, and are fetched
# again when needed. At most an eighth of Redis' maxmemory in any case; 0: that alone.
FRONTIER_ROBOTS_BYTES = 64 * 1024 * 1024
# The longest `Crawl-delay` of a robots.txt that is followed, in seconds: who asks for a day from one page to
# the next would keep a crawl from ending. What was asked for is logged, and `scrapy frontier hosts` shows it.
# 0: no limit.
FRONTIER_CRAWL_DELAY_MAX_S = 300
# Most links of one host that a run takes, against calendars without end. 0: no limit.
FRONTIER_HOST_PAGES = 0
# Answers with these statuses put a host to sleep, for as long as `Retry-After` says or else for so many
# seconds, twice as many after each further failure up to the most.
FRONTIER_BACK_OFF_STATUS = [429, 503]
FRONTIER_BACK_OFF_S = 1
FRONTIER_BACK_OFF_MAX_S = 300
# So often a page with such an answer goes back to the queue before it counts as a page's own failure.
FRONTIER_PAGE_WAITS = 5
# After so many failures in a row a host is set aside for so many seconds; after so many times of that its
# pages become dead letters. 0: never.
FRONTIER_HOST_STRIKES = 10
FRONTIER_HOST_REST_S = 3600
FRONTIER_HOST_RESTS = 1

# So often redirects may bring a page back to a URL where it has been, as those do that set a cookie; then it
# is a dead letter. 0: never. REDIRECT_MAX_TIMES (20) bounds all redirects of a page.
FRONTIER_PAGE_RETURNS = 5

# What an answer may cost a worker. Whatever goes beyond ends at once, and its page is a dead letter that says
# which of these it was. 0: no limit.
#
# Most bytes of a body, as received and as decoded. Scrapy's 1 GB is more memory than a worker has; the
# longest pages that people write have some 15 MB. A request's `download_maxsize` is for the few that may be
# larger, as sitemaps, which may have 50 MB.
DOWNLOAD_MAXSIZE = 32 * 1024 * 1024
# A body of so many bytes is spoken of in the log.
DOWNLOAD_WARNSIZE = 8 * 1024 * 1024
# Most bytes decoded for each that was received, once they are more than 1 MB. gzip makes 1,032 of nothing but
# zeros; real pages have 5 to 50, tables whose rows are alike some 200.
DOWNLOAD_MAX_RATIO = 400
# Most bytes and lines of headers, those of 1xx answers included. Servers of today send some KB.
DOWNLOAD_MAX_HEADER_BYTES = 64 * 1024
DOWNLOAD_MAX_HEADERS = 1000
# Bytes of all bodies above 1 MB that a worker receives and decodes at a time: two of the largest. Beyond that
# the oldest goes on, and the others wait.
DOWNLOAD_HELD_BYTES = 64 * 1024 * 1024

# Whose cookies are sent. `shared`: those of the crawl, so that a login counts for all its workers; a response
# that changes a cookie takes a call to Redis. `worker`: each worker has its own.
FRONTIER_COOKIES = "shared"

# Networks inside, such as 10.0.0.0/8, to which pages may lead. Without, a request goes to a loopback,
# private, link-local or metadata address only where the URL of a start names that host.
FRONTIER_INSIDE_NETWORKS: list[str] = []
# Keys of Scrapy's, such as "proxy" and "dont_obey_robotstxt", that the meta of a pushed message may hold
# though they steer the crawler (crawlers/pushed.py has all). A message with another of them is a dead letter.
FRONTIER_PUSHED_META: list[str] = []
# Spiders of scrapy-redis' classes take `headers`, `cookies`, `body` and `formdata` of a message for what they
# say. True: for fields of a form, as scrapy-redis does.
FRONTIER_STOCK_MESSAGES = False

# Proxies: the path of a file with one a line, http://user:password@host:port, or redis:NAME, a Redis list or
# set of such lines. Both are read again every 5 s. Empty: none.
FRONTIER_PROXIES = ""
# True: delays and limits of a host hold for each proxy apart, which a URL keeps as long as that one is well.
FRONTIER_POLITE_PER_PROXY = False

# True: uvloop (7 % of the instructions of a page with 20 Links) and aiohttp (14 %) in place of asyncio's loop
# and Twisted's client, see requirements-fast.txt, and DOWNLOADER_STATS off (4 %).
FAST_PROFILE = False

# The spider `pages` reads a page of more bytes in a thread, while its worker goes on with others: 1 MB takes
# 0.1 s, or 0.7 s where it is all links. 0: all in the loop.
PAGES_LOOP_BYTES = 1_000_000
# It parses one such page at a time, and HTML of more bytes than this not at all, for a parsed page takes many
# times its size in memory: that page is stored without title, text and links, and is a dead letter that says
# so. The largest page of the JDK's documentation has 5 MB. 0: no limit.
PAGES_MAX_PARSED_BYTES = 8_000_000

# Scrapy ----------------------------------------------------------------------------------------------

# Scrapy starts this many tasks for each response: its 100 took a fifth of the CPU of a page with 20 links, 8
# take 4 % more than 4 where the links are Links. So many items of a page are stored at a time: with 2, crawls
# with ten items a page took up to twice as long.
CONCURRENT_ITEMS = 4
# Both are servers that execute code for whoever reaches their port.
TELNETCONSOLE_ENABLED = False
REMOTE_CONTROL_ENABLED = False
# Scrapy's looks twice, at each count, for an argument that it has deprecated: 2 % of a page.
STATS_CLASS = "crawlers.scheduler.StatsCollector"
# Scrapy's makes a record of each page and item before it finds that LOG_LEVEL has no use for it.
LOG_FORMATTER = "crawlers.scheduler.LogFormatter"
LOG_LEVEL = "INFO"
FEED_EXPORT_ENCODING = "utf-8"
