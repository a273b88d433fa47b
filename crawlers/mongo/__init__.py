"""Documents go to MongoDB in groups, and none counts as stored before MongoDB has it on disk.

config.py   where they go and when they count as stored, from Scrapy's settings
documents.py  the upsert of a document, of which nothing is an operator
pace.py     how much at once, and in which time: halved when it was too slow
writer.py   `await writer.write(collection, document)`, which returns when it is stored
refused.py  what could not be stored, kept whole
start.py    the wait for a MongoDB that does not answer yet
errors.py   which errors pass, which are a document's own, and what to tell the operator
"""

from .config import BadMongoSetting, MongoConfig
from .errors import Refused
from .start import MongoUnreachable
from .writer import Writer

__all__ = ["BadMongoSetting", "MongoConfig", "MongoUnreachable", "Refused", "Writer"]
