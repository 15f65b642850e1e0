"""
The base of all answers: the API's document, read by name.

An answer is kept as it came. Declared fields are typed and converted when read; fields that this
version does not know are there all the same, so a newer platform needs no newer client.
"""

import json
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Generic, Self, TypeVar, Union, get_args, get_origin

from towpath.errors import APIError


class Model:
    """
    One document of the API.

    `thing.name` reads a field, `"name" in thing` tells null from missing, `to_dict()` is the
    document itself. A declared field that may be absent reads as `None`.
    """

    # Shown shortened by `repr`, so that a printed object leaks nothing.
    _secrets: ClassVar[frozenset[str]] = frozenset()
    _declared: ClassVar[dict[str, Any]] = {}
    _headers: Mapping[str, str]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        own = {name: kind for name, kind in cls.__annotations__.items() if not name.startswith("_")}
        cls._declared = {**cls._declared, **own}

    def __init__(self, data: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> None:
        self._data = dict(data)
        self._headers = headers or {}

    @classmethod
    def of(cls, data: Any, headers: Mapping[str, str] | None = None) -> Self:
        """
        Take a decoded document.

        Raises:
            APIError: It is not an object.
        """
        if not isinstance(data, Mapping):
            raise APIError(
                f"The answer is not the JSON object that {cls.__name__} is read from.",
                code="invalid_answer",
                request_id=headers.get("x-request-id") if headers else None,
            )
        return cls(data, headers)

    @property
    def _request_id(self) -> str | None:
        """The `x-request-id` of the answer, whatever fields the document has."""
        return self._headers.get("x-request-id")

    @property
    def response_headers(self) -> Mapping[str, str]:
        """The headers of the answer that this document came in, names in lower case."""
        return self._headers

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        declared = self._declared.get(name)
        if name not in self._data:
            if name == "request_id":
                return self._request_id
            if declared is not None and _optional(declared):
                return None
            raise AttributeError(f"{type(self).__name__} has no field `{name}` in this answer")
        value = _read(declared, self._data[name])
        self.__dict__[name] = value
        return value

    def __getitem__(self, name: str) -> Any:
        return self._data[name]

    def __contains__(self, name: object) -> bool:
        return name in self._data

    def __eq__(self, other: object) -> bool:
        return isinstance(other, type(self)) and other._data == self._data

    def __hash__(self) -> int:
        return hash((type(self), json.dumps(self._data, sort_keys=True)))

    def __dir__(self) -> Iterator[str]:
        yield from super().__dir__()
        yield from self._data

    def __repr__(self) -> str:
        shown = (
            f"{name}={_shortened(value) if name in self._secrets else repr(value)}"
            for name, value in self._data.items()
        )
        return f"{type(self).__name__}({', '.join(shown)})"

    def to_dict(self) -> dict[str, Any]:
        """Return the document as it came."""
        return self._data

    def to_json(self, *, indent: int | None = None) -> str:
        """Return the document as JSON text."""
        return json.dumps(self._data, ensure_ascii=False, indent=indent)


T_co = TypeVar("T_co", bound=Model, covariant=True)


@dataclass(frozen=True)
class Page(Generic[T_co]):
    """One page of a list: `next` is the `after` of the following one, `document` what came."""

    items: Sequence[T_co]
    next: str | None
    document: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def request_id(self) -> str | None:
        """Id of the request that fetched it."""
        return self.headers.get("x-request-id")


def _shortened(value: Any) -> str:
    return f"'{value[:12]}…'" if isinstance(value, str) else repr(value)


def _optional(kind: Any) -> bool:
    return type(None) in get_args(kind)


def _read(kind: Any, value: Any) -> Any:
    """Convert a decoded value to what its field declares; what does not fit stays as it came."""
    if get_origin(kind) in {Union, types.UnionType}:
        kinds = [one for one in get_args(kind) if one is not type(None)]
        kind = kinds[0] if len(kinds) == 1 else None
    if get_origin(kind) is list and isinstance(value, list):
        (inner,) = get_args(kind)
        return [_read(inner, one) for one in value]
    if kind is datetime and isinstance(value, str):
        try:
            return datetime.fromisoformat(value)
        except ValueError:
            return value
    if isinstance(kind, type) and issubclass(kind, Model) and isinstance(value, Mapping):
        return kind(value)
    return value
