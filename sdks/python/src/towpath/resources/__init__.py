"""The nouns of the API, one class each: what may be done to them, typed."""
