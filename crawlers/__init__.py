"""A distributed crawler, in rooms through which the data flows one way.

`intake` takes start URLs into the `frontier`, which all workers share in Redis. `scheduler` leases
requests from it for Scrapy, which fetches them for the `spiders`. Their `items` go through the
`pipelines` into MongoDB; only then is a page complete and leaves the frontier, its links in its place.
"""
