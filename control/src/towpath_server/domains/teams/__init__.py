"""Teams: who owns projects."""
