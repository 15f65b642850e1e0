"""How formats are served: the descriptions of the model servers that the platform starts."""
