"""What is stopped at once: endpoints, keys, providers and models."""
