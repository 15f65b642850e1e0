"""Where artifacts lie: content-addressed bytes, and the folders that model servers read."""
