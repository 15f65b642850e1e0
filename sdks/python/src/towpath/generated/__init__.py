"""Derived from `towpath/*.py` by `tools/derive_sync.py`; never edited."""
