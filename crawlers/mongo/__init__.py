"""Documents go to MongoDB in groups, and none counts as stored before MongoDB has it on disk.

config.py   where they go and when they count as stored, from Scrapy's settings
writer.py   `await writer.write(collection, document)`, which returns when it is stored
errors.py   which errors pass, which are a document's own, and what to tell the operator
"""

from .config import BadMongoSetting, MongoConfig
from .errors import Refused
from .writer import Writer

__all__ = ["BadMongoSetting", "MongoConfig", "Refused", "Writer"]
