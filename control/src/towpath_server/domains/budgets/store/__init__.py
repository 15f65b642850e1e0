"""Queries of budgets: what is declared (`store.declared`), and their use (`store.ledger`)."""
