"""Names of versions that move: `champion`, `candidate`."""
