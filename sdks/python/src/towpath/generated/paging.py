"""Derived from `towpath/paging.py` by `tools/derive_sync.py`; never edited."""

from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar

from towpath.model import Model, Page

T = TypeVar("T", bound=Model)
T_co = TypeVar("T_co", bound=Model, covariant=True)


class Fetch(Protocol[T_co]):
    """Asks for the page after a cursor."""

    def __call__(self, after: str | None) -> Page[T_co]:
        """Return it; without a cursor, the first."""
        ...


class Pages(Generic[T]):
    """
    Every item of a list, page after page, fetched while iterating.

    Nothing is asked before the first item is wanted. `first()` is one page alone.
    """

    def __init__(self, fetch: Fetch[T]) -> None:
        self._fetch = fetch

    def first(self) -> Page[T]:
        """Return the first page."""
        return self._fetch(None)

    def pages(self) -> Iterator[Page[T]]:
        """Yield page after page."""
        page = self._fetch(None)
        yield page
        while page.next is not None:
            page = self._fetch(page.next)
            yield page

    def __iter__(self) -> Iterator[T]:
        for page in self.pages():
            for item in page.items:
                yield item

    def collect(self, *, most: int = 10_000) -> list[T]:
        """Return all items in a list, at most so many."""
        found: list[T] = []
        for item in self:
            if len(found) >= most:
                break
            found.append(item)
        return found
