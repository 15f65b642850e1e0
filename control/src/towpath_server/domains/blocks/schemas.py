"""Blocks on the wire."""

from pydantic import Field, model_validator

from towpath_server.domains.blocks.models import Block, BlockDraft, What
from towpath_server.web.schemas import In, Ref, Resource, Text, at


class BlockCreate(In):
    """What to stop at once: exactly one of endpoint, key, provider and model."""

    endpoint: Ref | None = Field(None, description="Name or id.")
    environment: Ref | None = Field(
        None, description="Of the endpoint, where its name exists in several."
    )
    key: Ref | None = Field(None, description="Id of a key or service account.")
    provider: Ref | None = Field(None, description="Name or id.")
    model: Ref | None = Field(
        None, description="Name in the registry, or of a model at its provider."
    )
    reason: Text | None = Field(None, description="For those who are refused.")

    @model_validator(mode="after")
    def _one(self) -> "BlockCreate":
        if sum(getattr(self, what) is not None for what in What) != 1:
            raise ValueError("exactly one of `endpoint`, `key`, `provider` and `model` is needed")
        if self.environment is not None and self.endpoint is None:
            raise ValueError("`environment` is that of an `endpoint`, and none is named")
        return self

    def draft(self) -> BlockDraft:
        """Read it."""
        what = next(what for what in What if getattr(self, what) is not None)
        return BlockDraft(what, getattr(self, what), self.environment, self.reason)


class BlockOut(Resource):
    """Something that is stopped."""

    what: What
    ref: str = Field(description="Id of an endpoint or key, name of a provider or model.")
    name: str = Field(description="What it was called when it was blocked.")
    reason: str | None

    @classmethod
    def of(cls, block: Block) -> "BlockOut":
        """Write a block."""
        return cls(
            id=block.id,
            revision=block.revision,
            created_at=at(block.created_at_ms),
            updated_at=at(block.updated_at_ms),
            what=block.what,
            ref=block.ref,
            name=block.name,
            reason=block.reason,
        )
