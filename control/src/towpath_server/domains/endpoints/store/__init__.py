"""Queries of endpoints and their targets."""
