"""The version, where it costs nothing to read; a test compares it with the distribution's."""

VERSION = "0.1.0"
