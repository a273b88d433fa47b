"""Deep queues of a crawl move between Redis and MongoDB, so that its size is bounded by disk.

mover.py    decides and moves, beside a worker
store.py    what is out, in MongoDB
letters.py  the oldest dead letters move out
memory.py   how full Redis is
runs.py     what is remembered of each run
"""

from .letters import DeadLetters
from .memory import Memory
from .mover import Mover
from .runs import RUNS_COLLECTION, Remembrance, Run, RunStore
from .store import ChunkStore

__all__ = [
    "RUNS_COLLECTION",
    "ChunkStore",
    "DeadLetters",
    "Memory",
    "Mover",
    "Remembrance",
    "Run",
    "RunStore",
]
