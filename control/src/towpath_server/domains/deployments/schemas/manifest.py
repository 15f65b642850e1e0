"""
The manifest, section by section.

Each section is read by itself, so that everything that is wrong comes to light at once. Whatever
the full manifest knows and this version does not do yet is refused by name, never ignored. The
message of a check has its fix, where it has one, on a second line.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    StringConstraints,
    field_validator,
)

from towpath_server.core import durations, money, sources, suggest
from towpath_server.core.clock import to_ms
from towpath_server.core.money import OUTSIDE, PriceDraft, to_nano
from towpath_server.core.quantity import quantity
from towpath_server.domains.deployments.models import (
    MetadataDraft,
    ModelDraft,
    ProbeDraft,
    Resources,
    RuntimeDraft,
)
from towpath_server.domains.deployments.schemas import accelerator
from towpath_server.domains.deployments.schemas.accelerator import Accelerator
from towpath_server.domains.deployments.schemas.faults import Fault
from towpath_server.domains.deployments.schemas.proving import Gates, Test
from towpath_server.domains.deployments.schemas.rolling import Rolling
from towpath_server.domains.deployments.schemas.scaling import Scaling
from towpath_server.domains.deployments.schemas.section import Section
from towpath_server.domains.endpoints.models import AccessDraft, Visibility
from towpath_server.domains.endpoints.models.serving import Timeouts

MAX_GPUS = 64  # of one replica: more than one machine has
_MAX_MILLISECONDS = 3_600_000
_SCHEMES = ("models", "file", *sources.SCHEMES)
_MODEL_URI = re.compile(r"/?/?([a-z0-9-]{1,63})(?:/([0-9]{1,9})|@([a-z][a-z0-9-]{0,62}))")
_RESERVED_ENV = ("TOWPATH_", "LD_", "DYLD_", "PYTHON", "PATH", "HOME", "LANG")

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,63}$")]
Word = Annotated[str, StringConstraints(min_length=1, max_length=500)]
Environment = Literal["sandbox", "staging", "production"]


def _amount(value: str) -> str:
    try:
        to_nano(value)
    except ValueError as error:
        fix = 'Write a decimal number in quotes, such as `"0.15"`.'
        raise Fault(str(error), fix, "InvalidAmount") from error
    return value


def _read(value: str | int) -> Decimal:
    try:
        return quantity(value)
    except ValueError as error:
        fix = "Write it such as `500m` or `2` CPUs, `512Mi` or `1Gi` of memory."
        raise Fault("is no quantity", fix, "InvalidQuantity") from error


Amount = Annotated[str, StringConstraints(max_length=40), AfterValidator(_amount)]


class Metadata(Section):
    """Who it is."""

    name: Name
    project: Word | None = None
    labels: dict[str, Annotated[str, StringConstraints(max_length=128)]] = Field(
        default_factory=dict, max_length=64
    )
    annotations: dict[str, Annotated[str, StringConstraints(max_length=2_000)]] = Field(
        default_factory=dict, max_length=64
    )

    def draft(self) -> MetadataDraft:
        """Read it."""
        return MetadataDraft(self.name, self.project, self.labels, self.annotations)


def _source(value: str) -> sources.Address:
    try:
        return sources.parse(value)
    except sources.UriInvalid as error:
        raise Fault(str(error), error.fix, error.reason) from error


class Model(Section):
    """Which version is to be served."""

    uri: Annotated[str, StringConstraints(min_length=1, max_length=2_000)]
    format: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")] | None = None
    digest: Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")] | None = None

    @field_validator("uri")
    @classmethod
    def _supported(cls, value: str) -> str:
        scheme, separator, rest = value.partition(":")
        if not separator:
            raise Fault("has no scheme", "Write `models:/name/version`.", "InvalidUri")
        if scheme not in _SCHEMES:
            hint = suggest.did_you_mean(scheme, _SCHEMES) or "Write `models:/name/version`."
            raise Fault(f"has the unknown scheme `{scheme}:`", hint, "UnknownScheme")
        if scheme == "file":
            raise Fault(
                "names a file, and the server does not read its own paths for callers",
                "`towpath deploy` uploads the file and fills in the version it became.",
                "InvalidUri",
            )
        if scheme in sources.SCHEMES:
            _source(value)
        elif not _MODEL_URI.fullmatch(rest):
            fix = "Write it as `models:/triage/3`, or by an alias as `models:/triage@champion`."
            raise Fault("does not name a version", fix, "InvalidUri")
        return value

    def draft(self) -> ModelDraft:
        """Read it."""
        scheme, _, rest = self.uri.partition(":")
        if scheme in sources.SCHEMES:
            source = sources.parse(self.uri)
            return ModelDraft("", None, None, self.format, self.digest, source)
        match = _MODEL_URI.fullmatch(rest)
        if match is None:
            raise ValueError("the URI was checked before")
        name, number, alias = match.groups()
        return ModelDraft(name, int(number) if number else None, alias, self.format, self.digest)


class EnvEntry(Section):
    """A variable of the model server."""

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,127}$")]
    value: Annotated[str, StringConstraints(max_length=8_192, pattern=r"^[^\x00]*$")]

    @field_validator("name")
    @classmethod
    def _free(cls, value: str) -> str:
        if value.upper().startswith(_RESERVED_ENV):
            raise Fault(
                "is reserved: the platform sets it, or it would change the program",
                "Leave it out, or choose another name.",
                "ReservedName",
            )
        return value


class Runtime(Section):
    """What serves it."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=63)] | None = None
    version: Annotated[str, StringConstraints(min_length=1, max_length=63)] | None = None
    args: list[Annotated[str, StringConstraints(min_length=1, max_length=500)]] = Field(
        default_factory=list, max_length=100
    )
    env: list[EnvEntry] = Field(default_factory=list, max_length=100)

    @field_validator("env")
    @classmethod
    def _once(cls, value: list[EnvEntry]) -> list[EnvEntry]:
        names = [entry.name for entry in value]
        if len(set(names)) != len(names):
            raise Fault("names a variable twice", "Leave one of them out.", "Duplicate")
        return value

    def draft(self) -> RuntimeDraft:
        """Read it."""
        env = {entry.name: entry.value for entry in self.env}
        return RuntimeDraft(self.name, self.version, tuple(self.args), env)


class Amounts(Section):
    """Amounts of what a machine has; further fields are parts of GPUs (MIG)."""

    model_config = ConfigDict(extra="allow", json_schema_extra=accelerator.parts_schema)
    __pydantic_extra__: accelerator.Parts = Field(init=False)  # type: ignore[override]
    cpu: str | int | None = None
    memory: str | int | None = None
    gpus: str | int | None = Field(None, alias="nvidia.com/gpu")

    @field_validator("gpus")
    @classmethod
    def _whole(cls, value: str | int | None) -> str | int | None:
        if value is not None and _read(value) not in range(1, MAX_GPUS + 1):
            raise Fault(
                f"must be a whole number from 1 to {MAX_GPUS}",
                "GPUs are not divided: write `1` or more, or leave it out.",
                "OutOfRange",
            )
        return value

    @field_validator("cpu", "memory")
    @classmethod
    def _quantity(cls, value: str | int | None) -> str | int | None:
        if value is not None and _read(value) <= 0:
            raise Fault("must be above 0", "Ask for some, or leave it out.", "OutOfRange")
        return value

    @property
    def extra(self) -> Mapping[str, str | int]:
        """Return the parts of GPUs, by the names of their resources."""
        return self.__pydantic_extra__ or {}

    @property
    def names(self) -> list[str]:
        """Return which GPUs and parts of GPUs are asked for."""
        return [*(["nvidia.com/gpu"] if self.gpus is not None else []), *self.extra]


class ResourceNeeds(Section):
    """What it asks for, and what it may take at most."""

    requests: Amounts = Field(default_factory=Amounts)
    limits: Amounts = Field(default_factory=Amounts, validate_default=True)

    @field_validator("limits")
    @classmethod
    def _same_gpus(cls, value: Amounts, info: Any) -> Amounts:
        requests = info.data.get("requests")
        asked = requests.gpus if requests else None
        named = accelerator.one_of(value.names)
        if requests is not None and requests.extra and accelerator.one_of(requests.names) != named:
            raise Fault(
                "and `requests` name different parts of GPUs",
                "GPUs are not shared: write the part under `limits` alone.",
                "Contradiction",
            )
        if asked is not None and (value.gpus is None or quantity(asked) != quantity(value.gpus)):
            raise Fault(
                "and `requests` name different numbers of `nvidia.com/gpu`",
                "GPUs are not shared: write the number under `limits` alone.",
                "Contradiction",
            )
        return value

    def draft(self) -> Resources:
        """Read it."""
        cpu, memory, most = self.requests.cpu, self.requests.memory, self.limits.memory
        gpus, limit = self.limits.gpus, self.limits.cpu
        part = accelerator.one_of(self.limits.names)
        return Resources(
            cpu_milli=None if cpu is None else int(quantity(cpu) * 1000),
            memory_bytes=None if memory is None else int(quantity(memory)),
            memory_limit_bytes=None if most is None else int(quantity(most)),
            gpus=1 if part else None if gpus is None else int(quantity(gpus)),
            mig=part,
            cpu_limit_milli=None if limit is None else int(quantity(limit) * 1000),
        )


class HttpGet(Section):
    """Which path is asked."""

    path: Annotated[str, StringConstraints(pattern=r"^/[!-~]{0,500}$")]


class Probe(Section):
    """How health is asked for."""

    http_get: HttpGet | None = None
    period_seconds: float | None = Field(None, gt=0, le=300)
    failure_threshold: int | None = Field(None, ge=1, le=100_000)
    timeout_seconds: float | None = Field(None, gt=0, le=60)

    def draft(self) -> ProbeDraft:
        """Read it."""
        return ProbeDraft(
            path=self.http_get.path if self.http_get else None,
            period_s=self.period_seconds,
            failures=self.failure_threshold,
            timeout_s=self.timeout_seconds,
        )


class AllowEntry(Section):
    """One more team or project that may call."""

    team: Word | None = None
    project: Word | None = None

    @field_validator("project")
    @classmethod
    def _one(cls, value: str | None, info: Any) -> str | None:
        if value is not None and info.data.get("team") is not None:
            raise Fault("stands beside `team`", "Write two entries.", "Contradiction")
        return value

    def pair(self) -> tuple[str, str]:
        """Return kind and reference."""
        return ("team", self.team) if self.team else ("project", self.project or "")


class Access(Section):
    """Who may call, with which data."""

    visibility: Literal["project", "team", "organization"] | None = None
    allow: list[AllowEntry] = Field(default_factory=list, max_length=1_000)
    callers: list[Environment] | None = None
    max_data_class: Literal["public", "internal", "confidential", "restricted"] = "public"

    def draft(self) -> AccessDraft:
        """Read it."""
        return AccessDraft(
            visibility=Visibility(self.visibility) if self.visibility else None,
            allow=tuple(entry.pair() for entry in self.allow if entry.team or entry.project),
            callers=tuple(self.callers) if self.callers is not None else None,
        )


class Price(Section):
    """What a call costs from a time on, in decimal strings."""

    from_: Annotated[str, StringConstraints(max_length=40)] | None = Field(None, alias="from")
    input_per_million: Amount | None = None
    output_per_million: Amount | None = None
    cached_input_per_million: Amount | None = None
    cache_write_per_million: Amount | None = None
    reasoning_per_million: Amount | None = None
    audio_input_per_million: Amount | None = None
    audio_output_per_million: Amount | None = None
    per_request: Amount | None = None
    gpu_second: Amount | None = None

    @field_validator("from_")
    @classmethod
    def _time(cls, value: str | None) -> str | None:
        if value is not None:
            _moment(value)
        return value

    def draft(self) -> PriceDraft:
        """Read it, in nano-units."""
        amounts = money.Amounts.read({name: getattr(self, name) for name in OUTSIDE.values()})
        return PriceDraft(amounts, _moment(self.from_) if self.from_ else None)


def _moment(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise Fault(
            "is no time", "Write it such as `2027-01-01T00:00:00Z`.", "InvalidTime"
        ) from error
    return to_ms(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


class TimeoutLimits(Section):
    """How long each phase of a call may take."""

    connect: str | None = None
    first_byte: str | None = None
    silence: str | None = None
    total: str | None = None
    attempt: str | None = None

    @field_validator("connect", "first_byte", "silence", "total", "attempt")
    @classmethod
    def _duration(cls, value: str | None) -> str | None:
        try:
            found = None if value is None else durations.to_ms(value)
        except ValueError as error:
            fix = "Write it such as `500ms`, `10s` or `1m30s`."
            raise Fault("is no duration", fix, "InvalidDuration") from error
        if found is not None and not 1 <= found <= _MAX_MILLISECONDS:
            raise Fault("must be between 1ms and 1h", "Choose a time in between.", "OutOfRange")
        return value

    def draft(self) -> Timeouts:
        """Read it."""
        given = {name: durations.to_ms(text) for name, text in self.model_dump().items() if text}
        return Timeouts(**{f"{name}_ms": value for name, value in given.items()})


SECTIONS: Mapping[str, type[Section]] = {
    "model": Model,
    "runtime": Runtime,
    "accelerator": Accelerator,
    "resources": ResourceNeeds,
    "scaling": Scaling,
    "startupProbe": Probe,
    "readinessProbe": Probe,
    "access": Access,
    "prices": Price,
    "timeouts": TimeoutLimits,
    "smokeTests": Test,
    "gates": Gates,
    "rollout": Rolling,
}
"""The parts of `spec` that this version does."""

LATER: Mapping[str, str] = {
    "slo": "service levels are not watched yet",
    "fallback": "create an endpoint with `fallback` instead",
    "model.adapters": "adapters are not loaded yet",
    "runtime.env.*.valueFrom": "secrets are not handed to model servers yet",
    "startupProbe.httpGet.port": "the platform chooses where a server listens",
    "readinessProbe.httpGet.port": "the platform chooses where a server listens",
    "startupProbe.initialDelaySeconds": "`failureThreshold` bounds the start",
    "readinessProbe.initialDelaySeconds": "`startupProbe` covers the start",
}
"""What the full manifest knows and this version does not do yet, and why."""
