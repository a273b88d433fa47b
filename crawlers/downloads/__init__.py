"""Downloads within limits: what an answer may cost this worker, whoever sends it.

`handler` receives, `compression` decodes, both of them in pieces; `memory` is what they share.
"""

from .addon import DownloadsAddon

__all__ = ["DownloadsAddon"]
