"""Measuring: pure functions, the metric that calls them, and the files that hold predictions.

Nothing is imported here: a CCC must not cost the start-up time of torch.
"""
