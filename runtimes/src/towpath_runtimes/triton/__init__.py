"""Starts a Triton Inference Server with one model: a repository for it, and where it listens."""
