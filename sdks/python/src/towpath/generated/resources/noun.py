"""Derived from `towpath/resources/noun.py` by `tools/derive_sync.py`; never edited."""

from collections.abc import Mapping
from typing import Any, ClassVar, Generic, Protocol, TypeVar
from urllib.parse import quote

from towpath.model import Model, Page
from towpath.generated.paging import Pages

T = TypeVar("T", bound=Model)


class Caller(Protocol):
    """What a noun needs of the client."""

    def call(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[Any, Mapping[str, str]]:
        """Make a call and return the decoded answer with its headers."""
        ...


def matching(revision: int | None) -> dict[str, str]:
    """Return the header that makes a write fail when the resource has changed since."""
    return {} if revision is None else {"if-match": f'"{revision}"'}


class Noun(Generic[T]):
    """Resources of one kind; a reference is an id or a name."""

    _path: ClassVar[str]
    _kind: type[T]

    def __init__(self, client: Caller) -> None:
        self._client = client

    def get(self, ref: str) -> T:
        """Return one."""
        return self._kind.of(*self._client.call("GET", self._at(ref)))

    def delete(self, ref: str, *, if_match: int | None = None) -> None:
        """
        Delete one.

        Args:
            if_match: Only when it still is at this revision.
        """
        self._client.call("DELETE", self._at(ref), headers=matching(if_match))

    def _at(self, ref: str, *more: str) -> str:
        # A slash inside a reference (`team/project`) is part of the path.
        return "/".join((self._path, quote(ref, safe="/:@"), *more))

    def _create(self, body: Mapping[str, Any]) -> T:
        return self._kind.of(*self._client.call("POST", self._path, body=body))

    def _update(self, ref: str, body: Mapping[str, Any], if_match: int | None) -> T:
        return self._kind.of(
            *self._client.call("PATCH", self._at(ref), body=body, headers=matching(if_match))
        )

    def _listed(
        self, query: Mapping[str, Any], *, path: str | None = None, kind: Any = None
    ) -> Pages[Any]:
        return pages(self._client, path or self._path, kind or self._kind, query)


class PlacedNoun(Noun[T]):
    """Resources that have one name in several environments."""

    def get(self, ref: str, *, environment: str | None = None) -> T:
        """Return one by id, or by name and environment where the name alone is not enough."""
        query = {"environment": environment}
        return self._kind.of(*self._client.call("GET", self._at(ref), query=query))

    def delete(
        self, ref: str, *, environment: str | None = None, if_match: int | None = None
    ) -> None:
        """
        Delete one.

        Args:
            if_match: Only when it still is at this revision.
        """
        query = {"environment": environment}
        self._client.call("DELETE", self._at(ref), query=query, headers=matching(if_match))


def pages(client: Caller, path: str, kind: type[T], query: Mapping[str, Any]) -> Pages[T]:
    """Return a list that is fetched page by page."""

    def fetch(after: str | None) -> Page[T]:
        asked = {**query, "after": after} if after is not None else query
        document, headers = client.call("GET", path, query=asked)
        return Page(
            [kind.of(item) for item in document["items"]], document.get("next"), document, headers
        )

    return Pages(fetch)
