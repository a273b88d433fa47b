"""`python -m benchmarks.NAME` prints a table and writes .data/benchmarks/NAME.json."""
