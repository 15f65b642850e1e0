"""Keyset paging: a window asks, a slice answers. Ids sort by time, so most lists page by id."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

T = TypeVar("T")

DEFAULT_LIMIT = 100
MAX_LIMIT = 1_000


@dataclass(frozen=True)
class Window:
    """The part of a list that a caller asks for: at most `limit`, after the cursor."""

    limit: int = DEFAULT_LIMIT
    after: str | None = None


@dataclass(frozen=True)
class Slice(Generic[T]):
    """A part of a list, and the cursor of the next part; none at the end."""

    items: list[T]
    next: str | None

    @classmethod
    def cut(
        cls, rows: Sequence[T], window: Window, key: Callable[[T], str] | None = None
    ) -> "Slice[T]":
        """Make a slice of up to `limit + 1` rows; the one too many says that there are more."""
        items = list(rows[: window.limit])
        if len(rows) <= window.limit:
            return cls(items, None)
        return cls(items, (key or _id)(items[-1]))


def _id(row: Any) -> str:
    return row.id
