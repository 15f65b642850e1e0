"""Endpoints in bodies."""

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, model_validator

from towpath_server.domains.endpoints.models import (
    AccessDraft,
    EndpointDraft,
    StaticDraft,
    TargetDraft,
    Visibility,
)
from towpath_server.domains.endpoints.models.serving import Serving
from towpath_server.domains.endpoints.schemas.serving import (
    BalanceIn,
    CacheIn,
    RetriesIn,
    StreamRecovery,
    TierIn,
    TimeoutsIn,
)
from towpath_server.domains.endpoints.service import EndpointChanges
from towpath_server.web.money import Prices
from towpath_server.web.schemas import In, Name, Ref, SignatureIn
from towpath_server.web.upstream import Credential, HandlingIn, HeaderName

Environment = Literal["sandbox", "staging", "production"]
DataClass = Literal["public", "internal", "confidential", "restricted"]
Operation = Literal[
    "chat", "completions", "embeddings", "predict", "rerank", "transcriptions", "count_tokens"
]
ModelName = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[!-~]+$")]
_MAX_TARGETS = 32  # the gateway's own bound: they are tried one after the other


class StaticIn(HandlingIn):
    """An inference server of the organisation's own, adopted by URL."""

    url: str = Field(max_length=2_000, examples=["http://gpu-7.internal:8000/v1"])
    dialect: str = Field("openai", max_length=63)
    model: ModelName
    name: Name | None = Field(None, description="Default: the endpoint's.")
    credential: Credential | None = None
    header: HeaderName | None = Field(
        None, description="Header for the credential; absent: `Authorization: Bearer`."
    )
    region: str | None = Field(None, max_length=63)
    max_data_class: DataClass = "public"
    operations: list[Operation] | None = Field(
        None, min_length=1, description="What it answers. Default: what its dialect has."
    )
    signature: SignatureIn | None = None
    prices: Prices | None = Field(
        None, description="What it costs. Absent: what was declared stays."
    )
    context_length: int | None = Field(
        None,
        ge=1,
        le=100_000_000,
        description="Largest context in tokens; a request that cannot fit is refused before it is "
        "sent, or goes to a fallback.",
    )
    gpus: int | None = Field(
        None, ge=1, le=1_024, description="GPUs of one replica, for prices per GPU-second."
    )

    def draft(self) -> StaticDraft:
        """Read it."""
        return StaticDraft(
            url=self.url,
            dialect=self.dialect,
            model=self.model,
            name=self.name,
            credential=self.credential,
            header=self.header,
            region=self.region,
            max_data_class=self.max_data_class,
            operations=tuple(dict.fromkeys(self.operations)) if self.operations else None,
            signature=self.signature.model_dump() if self.signature else None,
            prices=None if self.prices is None else tuple(one.draft() for one in self.prices),
            context_length=self.context_length,
            handling=self.handling(gpus=self.gpus),
        )


class TargetIn(In):
    """A target with its share of the traffic: one of deployment, provider and static."""

    deployment: Ref | None = None
    provider: Ref | None = None
    model: ModelName | None = Field(None, description="The provider's name of the model.")
    static: StaticIn | None = None
    weight: int = Field(
        100,
        ge=0,
        le=10_000,
        description="Relative share. 0 takes no traffic of its own: the target of a tier's level.",
    )

    @model_validator(mode="after")
    def _exactly_one(self) -> "TargetIn":
        _one_of(self, "deployment", "provider", "static")
        return self

    def draft(self) -> TargetDraft:
        """Read it."""
        static = self.static.draft() if self.static else None
        return TargetDraft(self.deployment, self.provider, self.model, static, weight=self.weight)


class FallbackIn(In):
    """What is tried when no target answers: one of deployment, provider, static and endpoint."""

    deployment: Ref | None = None
    provider: Ref | None = None
    model: ModelName | None = Field(None, description="The provider's name of the model.")
    static: StaticIn | None = None
    endpoint: Ref | None = Field(
        None,
        description="Another endpoint of the same environment: its targets, then its own "
        "fallbacks. What occurs twice is tried once.",
    )

    @model_validator(mode="after")
    def _exactly_one(self) -> "FallbackIn":
        _one_of(self, "deployment", "provider", "static", "endpoint")
        return self

    def draft(self) -> TargetDraft:
        """Read it."""
        static = self.static.draft() if self.static else None
        return TargetDraft(self.deployment, self.provider, self.model, static, self.endpoint)


def _one_of(body: Any, *names: str) -> None:
    if len([name for name in names if getattr(body, name) is not None]) != 1:
        listed = ", ".join(f"`{name}`" for name in names[:-1])
        raise ValueError(f"give exactly one of {listed} and `{names[-1]}`")
    if (body.provider is None) != (body.model is None):
        raise ValueError("`provider` and `model` go together")


class AllowIn(In):
    """One more team or project that may call."""

    team: Ref | None = None
    project: Ref | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> "AllowIn":
        if (self.team is None) == (self.project is None):
            raise ValueError("give either `team` or `project`")
        return self

    def pair(self) -> tuple[str, str]:
        """Return kind and reference."""
        return ("team", self.team) if self.team else ("project", self.project or "")


class AccessIn(In):
    """Who may call."""

    visibility: Literal["project", "team", "organization"] | None = None
    allow: list[AllowIn] = Field(default_factory=list, max_length=1_000)
    callers: list[Environment] | None = Field(
        None, description="Environments whose keys may call; its own always may."
    )

    def draft(self) -> AccessDraft:
        """Read it."""
        return AccessDraft(
            visibility=Visibility(self.visibility) if self.visibility else None,
            allow=tuple(allow.pair() for allow in self.allow),
            callers=tuple(self.callers) if self.callers is not None else None,
        )


class EndpointCreate(In):
    """A new endpoint."""

    name: Name
    environment: Environment
    project: Ref | None = Field(
        None, description="Its owner, as `team/project`; a key's own project when absent."
    )
    targets: list[TargetIn] = Field(min_length=1, max_length=_MAX_TARGETS)
    fallback: list[FallbackIn] = Field(
        default_factory=list,
        max_length=_MAX_TARGETS,
        description="Tried in this order, until the first byte has gone out.",
    )
    access: AccessIn = Field(default_factory=AccessIn)
    timeouts: TimeoutsIn = Field(default_factory=TimeoutsIn)
    balance: BalanceIn = Field(default_factory=BalanceIn)
    retries: RetriesIn = Field(default_factory=RetriesIn)
    stream_recovery: StreamRecovery = "none"
    cache: CacheIn | None = Field(
        None, description="Absent: nothing is kept, since not every answer may be given twice."
    )
    tier: TierIn | None = Field(None, description="Given: the endpoint is tiered.")

    def draft(self) -> EndpointDraft:
        """Read it."""
        return EndpointDraft(
            name=self.name,
            environment=self.environment,
            project=self.project,
            targets=tuple(target.draft() for target in self.targets),
            fallback=tuple(target.draft() for target in self.fallback),
            access=self.access.draft(),
            serving=Serving(
                timeouts=self.timeouts.draft(),
                balance=self.balance.draft(),
                retries=self.retries.draft(),
                stream_recovery=self.stream_recovery,
                cache_ttl_ms=self.cache.draft() if self.cache else None,
                tier=self.tier.draft() if self.tier else None,
            ),
        )


class EndpointUpdate(In):
    """What may change; what is given replaces the former value as a whole."""

    targets: list[TargetIn] | None = Field(None, min_length=1, max_length=_MAX_TARGETS)
    fallback: list[FallbackIn] | None = Field(None, max_length=_MAX_TARGETS)
    access: AccessIn | None = None
    timeouts: TimeoutsIn | None = None
    balance: BalanceIn | None = None
    retries: RetriesIn | None = None
    stream_recovery: StreamRecovery | None = None
    cache: CacheIn | None = Field(None, description="`null`: nothing is kept any more.")
    tier: TierIn | None = Field(None, description="`null`: no tiers any more.")

    def draft(self) -> EndpointChanges:
        """Read it."""
        sent, targets, fallback = self.model_fields_set, self.targets, self.fallback
        cache = self.cache.draft() if self.cache else None
        tier = self.tier.draft() if self.tier else None
        return EndpointChanges(
            targets=None if targets is None else tuple(one.draft() for one in targets),
            fallback=None if fallback is None else tuple(one.draft() for one in fallback),
            access=self.access.draft() if self.access else None,
            timeouts=self.timeouts.draft() if self.timeouts else None,
            balance=self.balance.draft() if self.balance else None,
            retries=self.retries.draft() if self.retries else None,
            stream_recovery=self.stream_recovery,
            cache=(cache,) if "cache" in sent else None,
            tier=(tier,) if "tier" in sent else None,
        )
