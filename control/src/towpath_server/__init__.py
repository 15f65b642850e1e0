"""Towpath's control plane: everything that happens once per change or once per batch."""

__version__ = "0.1.0"
