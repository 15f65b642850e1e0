"""What an alias is, and its log."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Alias:
    """A name of a model's version that may move to another version."""

    id: str
    revision: int
    created_at_ms: int
    updated_at_ms: int
    model_id: str
    name: str
    number: int
    """Of the version that it names now."""
    reason: str
    """Why it was moved there."""
    model_name: str = ""

    @property
    def uri(self) -> str:
        """Return what a manifest names it by."""
        return f"models:/{self.model_name}@{self.name}"


@dataclass(frozen=True)
class Move:
    """One entry of an alias's log."""

    id: str
    model_id: str
    alias: str
    from_number: int | None
    """None where the alias was new."""
    to_number: int | None
    """None where it was deleted."""
    reason: str | None
    by_kind: str
    by_id: str
    by_name: str
    at_ms: int
