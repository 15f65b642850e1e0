"""Policies: the organisation's rules for what may be deployed, as CEL expressions."""
