"""The spiders: what is fetched, what is taken from it, and where to go from there."""
