"""What calls cost, from when on: immutable rows that usage records name."""
