"""Batches: many calls to models in one file, answered when there is room for them."""
