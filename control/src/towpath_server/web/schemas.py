"""Bases and types of what goes over the wire."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from towpath_server.core.clock import from_ms


class In(BaseModel):
    """Base of bodies: an unknown field is an error, so that a typo is not lost."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def changes(self) -> dict[str, Any]:
        """Return the fields that the body has: what a PATCH changes."""
        return {name: getattr(self, name) for name in self.model_fields_set}


class Out(BaseModel):
    """Base of answers."""

    model_config = ConfigDict(frozen=True)


class Resource(Out):
    """What every resource answers."""

    id: str
    revision: int = Field(description="Rises with every change; the `ETag`.")
    created_at: datetime
    updated_at: datetime


def printable(text: str) -> str:
    """Refuse control characters, for a validator."""
    if any(ord(letter) < 32 and letter not in "\n\t" for letter in text):
        raise ValueError("contains control characters")
    return text


Name = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9-]{1,63}$"), Field(examples=["customer-care"])
]
"""The name of a resource, as it stands in URLs and commands."""

Text = Annotated[str, StringConstraints(min_length=1, max_length=500), AfterValidator(printable)]
"""Free text of a line or two."""

Ref = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(printable)]
"""A reference to another resource, by id or name."""


def at(ms: int) -> datetime:
    """Turn a stored time into the one on the wire (RFC 3339, UTC)."""
    return from_ms(ms)


def at_or_none(ms: int | None) -> datetime | None:
    """Turn a stored time, where there is one, into the one on the wire."""
    return None if ms is None else from_ms(ms)


class TensorIn(In):
    """A named input or output."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    datatype: Annotated[
        str, StringConstraints(pattern=r"^(BYTES|BOOL|U?INT(8|16|32|64)|FP(16|32|64))$")
    ]
    shape: list[int] = Field(max_length=16)


class SignatureIn(In):
    """Inputs and outputs, as KServe writes them."""

    inputs: list[TensorIn] = Field(min_length=1, max_length=1_000)
    outputs: list[TensorIn] = Field(min_length=1, max_length=1_000)
