"""The gateway as a caller of models sees it: what the platform's own work calls models through."""
