"""Queries of deployments."""
