"""The version, where it costs nothing to read; a test compares it with the distribution's."""

__version__ = "0.1.0"
