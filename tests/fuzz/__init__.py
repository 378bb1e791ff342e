"""`make fuzz`: what strangers write is read without an error of Python's, and without end.

`python -m tests.fuzz.run TARGET` runs one target; what holds for any input is in `properties`, and
is tried with ordinary tests, too.
"""
