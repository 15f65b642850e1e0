"""Serves a Python class with `load` and `predict`, in processes of its own."""
