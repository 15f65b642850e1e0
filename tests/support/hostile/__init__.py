"""
Hostile artifacts, generated: what somebody may push, and what has to come of it.

Nothing here does harm by lying there: the payloads name what they would call, and are never loaded.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

REFUSED, CONTAINED = "refused", "contained"


@dataclass(frozen=True)
class Hostile:
    """One artifact."""

    name: str
    what: str
    """What it tries, for the docs."""
    form: str
    """The format that it is pushed as."""
    reason: str
    outcome: str
    """`refused` on push, or `contained`: registered as code, which only runtimes for code take."""
    make: Callable[[], Mapping[str, bytes]]


ALL: list[Hostile] = []


def hostile(
    name: str, what: str, *, form: str, reason: str, outcome: str = REFUSED
) -> Callable[[Callable[[], Mapping[str, bytes]]], Callable[[], Mapping[str, bytes]]]:
    """Register what makes a hostile artifact's files."""

    def register(make: Callable[[], Mapping[str, bytes]]) -> Callable[[], Mapping[str, bytes]]:
        ALL.append(Hostile(name, what, form, reason, outcome, make))
        return make

    return register
