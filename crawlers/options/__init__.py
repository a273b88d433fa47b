"""Every setting that this project reads: what it may be, and what to say where it isn't.

`table` lists them, `kinds` are what they may be, `check` looks at those of a user.
"""

from .check import BadSetting, check, ensure_all, ensure_key, ensure_number, unknown
from .table import OURS, Setting

__all__ = ["OURS", "BadSetting", "Setting", "check", "ensure_all", "ensure_key", "ensure_number", "unknown"]
