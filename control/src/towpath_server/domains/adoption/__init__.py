"""How the platform is taken up: what teams do without those who run it."""
