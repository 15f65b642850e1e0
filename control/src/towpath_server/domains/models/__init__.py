"""The registry: models, and their immutable versions."""
