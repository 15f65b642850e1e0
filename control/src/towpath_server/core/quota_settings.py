"""Settings of capacity: what teams may reserve where they have no quota of their own."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from towpath_server.core.quantity import quantity


def _quantity(text: str) -> str:
    quantity(text)
    return text


Quantity = Annotated[str, Field(max_length=32), AfterValidator(_quantity)]
GpuCounts = dict[Annotated[str, Field(max_length=63)], Annotated[int, Field(ge=0, le=100_000)]]


class QuotaDefaults(BaseModel):
    """What each team may reserve in an environment where it has no quota."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    replicas: int | None = Field(
        None,
        ge=0,
        le=100_000,
        description="Most replicas of a team without a quota of its own. Default: not limited.",
    )
    cpu: Quantity | None = Field(None, description="Most CPUs, such as `16`. Default: not limited.")
    memory: Quantity | None = Field(
        None, description="Most memory, such as `64Gi`. Default: not limited."
    )
    gpus: GpuCounts | None = Field(
        None,
        description="Most GPUs by class, as JSON; `*` is every class that is not named. Default: "
        "not limited.",
    )


class SandboxQuotaDefaults(QuotaDefaults):
    """The same for the sandbox, where people try things and forget them."""

    replicas: int | None = Field(
        10, ge=0, le=100_000, description="Most replicas of a team without a quota of its own."
    )
    gpus: GpuCounts | None = Field(
        {"*": 2},
        description="Most GPUs by class, as JSON; `*` is every class that is not named.",
    )


class QuotaSettings(BaseModel):
    """What holds for teams that have no quota, by environment."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sandbox: SandboxQuotaDefaults = Field(
        default_factory=SandboxQuotaDefaults, description="In the sandbox."
    )
    staging: QuotaDefaults = Field(default_factory=QuotaDefaults, description="In staging.")
    production: QuotaDefaults = Field(default_factory=QuotaDefaults, description="In production.")
