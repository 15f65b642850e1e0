"""What was used, by whom, and what it cost: the request log and the reports made from it."""
