"""Bodies of requests and answers, of projects that log them: sealed, and kept as long as set."""
