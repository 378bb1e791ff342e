"""`make bench`: the installed command beside other ways to get the same bytes.

`python -m tests.bench --help` says what can be chosen; docs/benchmarks.md has what came of it.
"""
