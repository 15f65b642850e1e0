"""Descriptions of the runtimes that Towpath starts: one YAML document each, read by the control plane as package data."""
