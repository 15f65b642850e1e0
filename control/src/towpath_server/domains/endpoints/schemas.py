"""Endpoints on the wire."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, field_validator, model_validator

from towpath_server.core.secret import Secret
from towpath_server.domains.endpoints.models import (
    AccessDraft,
    Bound,
    Endpoint,
    EndpointDraft,
    StaticDraft,
    TargetDraft,
    TargetKind,
    Timeouts,
    Visibility,
)
from towpath_server.domains.endpoints.service import EndpointChanges
from towpath_server.domains.providers.models import from_nano, to_nano
from towpath_server.web.schemas import In, Name, Out, Ref, Resource, at

Environment = Literal["sandbox", "staging", "production"]
DataClass = Literal["public", "internal", "confidential", "restricted"]
Operation = Literal["chat", "completions", "embeddings", "predict"]
ModelName = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[!-~]+$")]
Milliseconds = Annotated[int, Field(ge=1, le=3_600_000)]
_MAX_TARGETS = 50  # a weighted choice among more is a mistake


class PriceIn(In):
    """What a million tokens cost, in decimal strings."""

    input_per_million: str = Field(max_length=40, examples=["0.15"])
    output_per_million: str = Field(max_length=40, examples=["0.60"])

    @field_validator("input_per_million", "output_per_million")
    @classmethod
    def _exact(cls, value: str) -> str:
        to_nano(value)
        return value

    def nano(self) -> tuple[int, int]:
        """Return the amounts in nano-units."""
        return to_nano(self.input_per_million), to_nano(self.output_per_million)


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


class StaticIn(In):
    """An inference server of the organisation's own, adopted by URL."""

    url: str = Field(max_length=2_000, examples=["http://gpu-7.internal:8000/v1"])
    dialect: str = Field("openai", max_length=63)
    model: ModelName
    name: Name | None = None
    credential: Secret | None = Field(None, description="Sealed, never shown again.")
    header: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]{1,100}$")] | None = None
    region: str | None = Field(None, max_length=63)
    max_data_class: DataClass = "public"
    operations: list[Operation] | None = Field(None, min_length=1)
    signature: SignatureIn | None = None
    price: PriceIn | None = None
    context_length: int | None = Field(None, ge=1, le=100_000_000)

    @field_validator("credential")
    @classmethod
    def _sendable(cls, value: Secret | None) -> Secret | None:
        text = value.reveal() if value else ""
        if len(text) > 8_192 or not all(33 <= ord(letter) <= 126 for letter in text):
            raise ValueError("must be printable ASCII without spaces, at most 8192 characters")
        return value

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
            price_nano=self.price.nano() if self.price else None,
            context_length=self.context_length,
        )


class FallbackIn(In):
    """A target to try when the others do not answer: one of deployment, provider and static."""

    deployment: Ref | None = None
    provider: Ref | None = None
    model: ModelName | None = Field(None, description="The provider's name of the model.")
    static: StaticIn | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> "FallbackIn":
        given = [n for n in ("deployment", "provider", "static") if getattr(self, n) is not None]
        if len(given) != 1:
            raise ValueError("give exactly one of `deployment`, `provider` and `static`")
        if (self.provider is None) != (self.model is None):
            raise ValueError("`provider` and `model` go together")
        return self

    def draft(self, weight: int = 100) -> TargetDraft:
        """Read it."""
        static = self.static.draft() if self.static else None
        return TargetDraft(self.deployment, self.provider, self.model, static, weight)


class TargetIn(FallbackIn):
    """A target with its share of the traffic."""

    weight: int = Field(100, ge=0, le=10_000)


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


class TimeoutsIn(In):
    """How long each phase of a call may take; what is absent is the gateway's default."""

    connect_ms: Milliseconds | None = None
    first_byte_ms: Milliseconds | None = None
    silence_ms: Milliseconds | None = None
    total_ms: Milliseconds | None = None

    def draft(self) -> Timeouts:
        """Read it."""
        return Timeouts(**self.model_dump())


class EndpointCreate(In):
    """A new endpoint."""

    name: Name
    environment: Environment
    project: Ref | None = Field(
        None, description="Its owner, as `team/project`; a key's own project when absent."
    )
    targets: list[TargetIn] = Field(min_length=1, max_length=_MAX_TARGETS)
    fallback: list[FallbackIn] = Field(default_factory=list, max_length=_MAX_TARGETS)
    access: AccessIn = Field(default_factory=AccessIn)
    timeouts: TimeoutsIn = Field(default_factory=TimeoutsIn)

    def draft(self) -> EndpointDraft:
        """Read it."""
        return EndpointDraft(
            name=self.name,
            environment=self.environment,
            project=self.project,
            targets=tuple(target.draft(target.weight) for target in self.targets),
            fallback=tuple(target.draft() for target in self.fallback),
            access=self.access.draft(),
            timeouts=self.timeouts.draft(),
        )


class EndpointUpdate(In):
    """What may change; what is given replaces the former value as a whole."""

    targets: list[TargetIn] | None = Field(None, min_length=1, max_length=_MAX_TARGETS)
    fallback: list[FallbackIn] | None = Field(None, max_length=_MAX_TARGETS)
    access: AccessIn | None = None
    timeouts: TimeoutsIn | None = None

    def draft(self) -> EndpointChanges:
        """Read it."""
        targets, fallback = self.targets, self.fallback
        return EndpointChanges(
            targets=None if targets is None else tuple(t.draft(t.weight) for t in targets),
            fallback=None if fallback is None else tuple(t.draft() for t in fallback),
            access=self.access.draft() if self.access else None,
            timeouts=self.timeouts.draft() if self.timeouts else None,
        )


class TargetOut(Out):
    """A target and whether it can answer."""

    id: str
    kind: str
    name: str
    weight: int | None = None
    model: str | None = None
    dialect: str | None = None
    url: str | None = None
    operations: list[str]
    region: str | None = None
    max_data_class: str
    price: dict[str, str] | None = None
    context_length: int | None = None
    ready: bool
    note: str | None = None

    @classmethod
    def of(cls, bound: Bound, *, weighted: bool) -> "TargetOut":
        """Write a target; credentials stay inside."""
        target = bound.target
        price = target.price
        return cls(
            id=target.id,
            kind=target.kind,
            name=target.name,
            weight=bound.weight if weighted else None,
            model=target.upstream_model,
            dialect=target.dialect,
            url=target.url if target.kind is TargetKind.STATIC else None,
            operations=list(target.operations),
            region=target.region,
            max_data_class=target.max_data_class,
            price={
                "input_per_million": from_nano(price.input_nano_per_million),
                "output_per_million": from_nano(price.output_nano_per_million),
            }
            if price
            else None,
            context_length=target.context_length,
            ready=target.ready,
            note=target.note,
        )


class AccessOut(Out):
    """Who may call."""

    visibility: str
    allow: list[dict[str, str]]
    callers: list[str]


class StatusOut(Out):
    """Whether it answers now, and if not, why."""

    ready: bool
    reason: str | None = None


class EndpointOut(Resource):
    """A name that callers use, in one environment."""

    name: str
    environment: str
    project: str | None
    deployment: str | None = Field(description="Id of the deployment that declares it.")
    access: AccessOut
    timeouts: dict[str, int]
    targets: list[TargetOut]
    fallback: list[TargetOut]
    status: StatusOut

    @classmethod
    def of(cls, endpoint: Endpoint) -> "EndpointOut":
        """Write an endpoint."""
        access = endpoint.access
        return cls(
            id=endpoint.id,
            revision=endpoint.revision,
            created_at=at(endpoint.created_at_ms),
            updated_at=at(endpoint.updated_at_ms),
            name=endpoint.name,
            environment=endpoint.environment,
            project=endpoint.project_path,
            deployment=endpoint.deployment_id,
            access=AccessOut(
                visibility=access.visibility,
                allow=[{allow.kind: allow.name or allow.id} for allow in access.allow],
                callers=list(access.callers),
            ),
            timeouts=endpoint.timeouts.given(),
            targets=[TargetOut.of(bound, weighted=True) for bound in endpoint.targets],
            fallback=[TargetOut.of(bound, weighted=False) for bound in endpoint.fallback],
            status=StatusOut(ready=endpoint.ready, reason=endpoint.note),
        )
