"""Where providers and the catalogue of vendors are read."""
