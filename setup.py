"""Packs the crawler into the egg that Scrapyd runs, the Lua scripts of the frontier as package data."""

from setuptools import find_packages, setup

setup(
    name="crawlers",
    version="1.0",
    packages=find_packages(include=["crawlers", "crawlers.*"]),
    package_data={"crawlers.frontier": ["*.lua", "operations/*.lua"]},
    entry_points={"scrapy": ["settings = crawlers.settings"]},
)
