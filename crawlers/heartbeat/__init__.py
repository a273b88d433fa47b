"""A worker whose loop is blocked is busy, not dead: a process beside it renews its lease.

`parent.py` is the worker's side, `child.py` the process, `board.py` the memory that both see. A thread could
not do it: a regular expression holds Python's lock for as long as it searches. Nothing is imported here, for
the process is to start in some 10 ms of CPU and 10 MB.
"""
