"""Lists on the wire: `{"items": […], "next": "…"}`."""

from collections.abc import Callable
from typing import Annotated, Generic, TypeVar

from fastapi import Depends, Query
from pydantic import BaseModel

from towpath_server.core.paging import DEFAULT_LIMIT, MAX_LIMIT, Slice, Window

T = TypeVar("T", bound=BaseModel)
Row = TypeVar("Row")


class Page(BaseModel, Generic[T]):
    """A part of a list."""

    items: list[T]
    next: str | None
    """Give it as `after` for the next part; none at the end."""

    @classmethod
    def of(cls, rows: Slice[Row], out: Callable[[Row], T]) -> "Page[T]":
        """Write a slice, each row by `out`."""
        return cls(items=[out(row) for row in rows.items], next=rows.next)


def _window(
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT, description="Most items.")] = DEFAULT_LIMIT,
    after: Annotated[
        str | None, Query(max_length=512, description="The `next` of the part before.")
    ] = None,
) -> Window:
    return Window(limit, after)


Paging = Annotated[Window, Depends(_window)]
"""The `limit` and `after` of a list route."""
