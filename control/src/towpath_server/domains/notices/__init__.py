"""What a program outside must still be told, kept until it has taken it."""
