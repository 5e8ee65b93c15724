"""Our registrations beside other programs, on the same pairs, by the same measures: `python -m benchmarks.peers`."""
