"""Guess what a mistyped name was meant to be."""

import difflib
from collections.abc import Iterable


def closest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name nearest to `name`, if one is near enough to be meant."""
    matches = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return matches[0] if matches else None


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """Return the sentence for a `fix`, or none when no known name is near."""
    match = closest(name, known)
    return f"Did you mean `{match}`?" if match else None
