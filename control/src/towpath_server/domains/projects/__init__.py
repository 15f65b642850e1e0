"""Projects of teams, and the applications in them."""
