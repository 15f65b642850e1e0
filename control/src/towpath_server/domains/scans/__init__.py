"""Scans: what was found in the content that models are made of, remembered by digest."""
