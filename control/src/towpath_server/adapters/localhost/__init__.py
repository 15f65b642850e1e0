"""Model servers as child processes of this machine."""
