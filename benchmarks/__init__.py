"""What tools/benchmark.py measures: ratios within one run, of things done in turn on the same machine."""
