"""People: users, their tokens, and their roles in teams; and the platform's own key."""
