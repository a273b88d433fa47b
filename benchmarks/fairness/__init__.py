"""Do hosts share a crawl fairly, and at what price? `python -m benchmarks.fairness` says."""
