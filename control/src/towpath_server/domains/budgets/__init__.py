"""How much a key, project, team or endpoint may use in a day, week or month."""
