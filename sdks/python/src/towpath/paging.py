"""Lists that do not end at the first page."""

from collections.abc import AsyncIterator
from typing import Generic, Protocol, TypeVar

from towpath.model import Model, Page

T = TypeVar("T", bound=Model)
T_co = TypeVar("T_co", bound=Model, covariant=True)


class AsyncFetch(Protocol[T_co]):
    """Asks for the page after a cursor."""

    async def __call__(self, after: str | None) -> Page[T_co]:
        """Return it; without a cursor, the first."""
        ...


class AsyncPages(Generic[T]):
    """
    Every item of a list, page after page, fetched while iterating.

    Nothing is asked before the first item is wanted. `first()` is one page alone.
    """

    def __init__(self, fetch: AsyncFetch[T]) -> None:
        self._fetch = fetch

    async def first(self) -> Page[T]:
        """Return the first page."""
        return await self._fetch(None)

    async def pages(self) -> AsyncIterator[Page[T]]:
        """Yield page after page."""
        page = await self._fetch(None)
        yield page
        while page.next is not None:
            page = await self._fetch(page.next)
            yield page

    async def __aiter__(self) -> AsyncIterator[T]:
        async for page in self.pages():
            for item in page.items:
                yield item

    async def collect(self, *, most: int = 10_000) -> list[T]:
        """Return all items in a list, at most so many."""
        found: list[T] = []
        async for item in self:
            if len(found) >= most:
                break
            found.append(item)
        return found
