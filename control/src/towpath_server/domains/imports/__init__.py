"""Imports: models on their way from a source outside into the registry."""
