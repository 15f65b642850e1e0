"""What changed, who did it, and what was refused: one event per attempt, append-only."""
