"""Tests against real servers: unit, contract (the frontier), integration (Scrapy), chaos."""
