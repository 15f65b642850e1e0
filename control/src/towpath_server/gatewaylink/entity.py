"""Entries of the table, and what a change made of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Value = Mapping[str, Any]


@dataclass(frozen=True)
class Entity:
    """One entry of the table."""

    kind: str
    id: str
    value: Value

    def envelope(self) -> dict[str, Any]:
        """Return it as it travels."""
        return {"kind": self.kind, "id": self.id, "value": self.value}


@dataclass(frozen=True)
class Changed:
    """Entities that are there now, and (kind, id) of those that are gone."""

    upserts: Sequence[Entity]
    deletes: Sequence[tuple[str, str]]
