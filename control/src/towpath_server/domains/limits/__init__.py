"""How much a key, project, team or endpoint may ask for at a time."""
