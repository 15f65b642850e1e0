"""Aliases on the wire."""

from datetime import datetime
from typing import Annotated

from pydantic import Field, StringConstraints

from towpath_server.domains.aliases.models import Alias, Move
from towpath_server.web.schemas import In, Out, Resource, Text, at

AliasName = Annotated[
    str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,62}$"), Field(examples=["champion"])
]


class AliasSet(In):
    """Where an alias points."""

    version: int = Field(ge=1, le=999_999_999, description="Number of a version of the model.")
    reason: Text = Field(description="Why; it stands in the log.", examples=["0.86 on the suite"])


class AliasOut(Resource):
    """A name of a version that may move to another one."""

    model: str
    alias: str
    version: int
    uri: str
    reason: str

    @classmethod
    def of(cls, alias: Alias) -> "AliasOut":
        """Write an alias."""
        return cls(
            id=alias.id,
            revision=alias.revision,
            created_at=at(alias.created_at_ms),
            updated_at=at(alias.updated_at_ms),
            model=alias.model_name,
            alias=alias.name,
            version=alias.number,
            uri=alias.uri,
            reason=alias.reason,
        )


class MoverOut(Out):
    """Who moved an alias."""

    kind: str
    id: str
    name: str


class MoveOut(Out):
    """One move of an alias."""

    id: str
    at: datetime
    by: MoverOut
    from_version: int | None = Field(description="Null where the alias was new.")
    to_version: int | None = Field(description="Null where it was deleted.")
    reason: str | None

    @classmethod
    def of(cls, move: Move) -> "MoveOut":
        """Write a move."""
        return cls(
            id=move.id,
            at=at(move.at_ms),
            by=MoverOut(kind=move.by_kind, id=move.by_id, name=move.by_name),
            from_version=move.from_number,
            to_version=move.to_number,
            reason=move.reason,
        )
