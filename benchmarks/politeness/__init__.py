"""Is the fleet polite, as the sites see it? `python -m benchmarks.politeness` says."""
