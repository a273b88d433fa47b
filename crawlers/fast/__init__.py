"""The fast profile: faster parts under the same Scrapy, where the packages for them are installed.

`addon` switches it on, `handler` downloads.
"""

from .addon import FastAddon

__all__ = ["FastAddon"]
