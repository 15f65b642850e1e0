"""One folder per noun. Another noun is reached through its `service`, `models`, `errors`."""
