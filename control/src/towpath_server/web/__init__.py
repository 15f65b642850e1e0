"""The HTTP edge: principal, transaction, paging, problem documents. No domain knowledge."""
