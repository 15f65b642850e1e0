"""Connections: address and credential of what models are fetched from."""
