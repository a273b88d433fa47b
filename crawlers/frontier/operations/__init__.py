"""What an operator does with a crawl: ask where things are, repair, move. Redis only, as all of the frontier.

Whatever reads much does so in many small steps, so that a command never holds Redis up. Steps that
change something are Lua scripts of bounded size: each is atomic, and correct while workers run.
"""

from .asking import Dead, Host, WorkerState, dead, hosts, overview, workers
from .changing import clear, drop, forget, pause, resume, retry_dead, seal
from .checking import Report, check
from .crawl import BadRequest, Crawl, Queued, UnknownCrawl, crawls, host_of_url
from .exporting import export
from .finding import Place, where
from .importing import Imported, first_line, import_from
from .restoring import Restorer
from .waiting import Waiting, waiting_for

__all__ = [
    "BadRequest",
    "Crawl",
    "Dead",
    "Host",
    "Imported",
    "Place",
    "Queued",
    "Report",
    "Restorer",
    "UnknownCrawl",
    "Waiting",
    "WorkerState",
    "check",
    "clear",
    "crawls",
    "dead",
    "drop",
    "export",
    "first_line",
    "forget",
    "host_of_url",
    "hosts",
    "import_from",
    "overview",
    "pause",
    "resume",
    "retry_dead",
    "seal",
    "waiting_for",
    "where",
    "workers",
]
