"""Models that are served: what was declared, what runs, and how one becomes the other."""
