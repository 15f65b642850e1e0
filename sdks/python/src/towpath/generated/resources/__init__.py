"""Derived from `towpath/resources/*.py` by `tools/derive_sync.py`; never edited."""
