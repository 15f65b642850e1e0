"""What every other part stands on: no domain knowledge, no HTTP."""
