"""Quotas on the wire."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, StringConstraints, ValidationError

from towpath_server.core import quantity
from towpath_server.core.errors import Finding, InvalidRequest
from towpath_server.domains.quotas.models import Amounts, Draw, Holding, Quota, State
from towpath_server.web.schemas import In, Out, Ref, Resource, at, at_or_none

_MOST = 10**15  # beyond any cluster; a larger amount is a slip of the hand


def _readable(value: str | int) -> str | int:
    if quantity.quantity(value) > _MOST:
        raise ValueError("is more than there can be")
    return value


Amount = Annotated[
    Annotated[str, StringConstraints(max_length=32)] | Annotated[int, Field(strict=True)],
    AfterValidator(_readable),
]
Class = Annotated[str, StringConstraints(pattern=r"^([a-z0-9][a-z0-9.-]{0,62}|\*)$")]
Count = Annotated[int, Field(strict=True, ge=0, le=1_000_000)]
Environment = Literal["sandbox", "staging", "production"]


class _Amounts(In):
    replicas: Count | None = Field(None, description="Model servers; null: not limited.")
    cpu: Amount | None = Field(None, description="CPUs, as `16` or `1500m`; null: not limited.")
    memory: Amount | None = Field(None, description="As `64Gi`; null: not limited.")
    gpus: dict[Class, Count] | None = Field(
        None,
        max_length=100,
        description="By class; `*` is every class that is not named, and a class without either "
        "has none. Null: not limited.",
        examples=[{"h100-80gb": 8}],
    )


class QuotaCreate(_Amounts):
    """What a team may reserve in an environment."""

    team: Ref = Field(examples=["customer-care"])
    environment: Environment

    def amounts(self) -> Amounts:
        """Read what is allowed."""
        return Amounts(**_read({name: getattr(self, name) for name in _Amounts.model_fields}))


class QuotaUpdate(_Amounts):
    """What may change; what is absent stays, null lifts it."""

    def changes(self) -> dict[str, Any]:
        """Return what was sent, as `Amounts` has it."""
        return _read(super().changes())


class QuotaRequest(_Amounts):
    """What a team asks for in an environment; what is absent stays."""

    team: Ref
    environment: Environment

    def wanted(self) -> dict[str, Any]:
        """Return what was sent, as `Amounts` has it."""
        given = super().changes()
        return _read({name: given[name] for name in _Amounts.model_fields if name in given})


def asked(payload: Mapping[str, Any]) -> QuotaRequest:
    """
    Read what a team asks for.

    Raises:
        InvalidRequest: It is no quota, or nothing is asked for; every finding is listed.
    """
    fix = "Give `team`, `environment` and some of `replicas`, `cpu`, `memory`, `gpus`."
    try:
        found = QuotaRequest.model_validate(dict(payload))
    except ValidationError as error:
        findings = [
            Finding(
                "#/payload" + "".join(f"/{part}" for part in entry["loc"]), f"{entry['msg']}.", fix
            )
            for entry in error.errors(include_url=False)
        ]
        raise InvalidRequest("The payload is no quota.", fix=fix, findings=findings) from error
    if not found.wanted():
        finding = Finding("#/payload/replicas", "Nothing is asked for.", fix, reason="Missing")
        raise InvalidRequest("Nothing is asked for.", fix=fix, findings=[finding])
    return found


class AmountsOut(Out):
    """Amounts of everything that is counted."""

    replicas: int | None
    cpu: str | None
    memory: str | None
    gpus: dict[str, int] | None

    @classmethod
    def of(cls, amounts: Amounts) -> "AmountsOut":
        """Write what is allowed; null is not limited."""
        return cls(
            replicas=amounts.replicas,
            cpu=_written(quantity.from_milli, amounts.cpu_milli),
            memory=_written(quantity.from_bytes, amounts.memory_bytes),
            gpus=None if amounts.gpus is None else dict(amounts.gpus),
        )

    @classmethod
    def held(cls, draw: Draw) -> "AmountsOut":
        """Write what is held."""
        return cls.of(Amounts(draw.replicas, draw.cpu_milli, draw.memory_bytes, draw.gpus))

    @classmethod
    def left(cls, amounts: Amounts, used: Draw) -> "AmountsOut":
        """Write what is free of what is allowed, nothing below zero."""
        gpus = None
        if amounts.gpus is not None:
            classes = {*amounts.gpus, *used.gpus}
            gpus = {one: _less(amounts.most(one), used.of(one)) or 0 for one in sorted(classes)}
        return cls.of(
            Amounts(
                _less(amounts.replicas, used.replicas),
                _less(amounts.cpu_milli, used.cpu_milli),
                _less(amounts.memory_bytes, used.memory_bytes),
                gpus,
            )
        )


class QuotaOut(Resource):
    """What a team may reserve in one environment."""

    team: str
    team_name: str
    environment: str
    replicas: int | None
    cpu: str | None
    memory: str | None
    gpus: dict[str, int] | None

    @classmethod
    def of(cls, quota: Quota) -> "QuotaOut":
        """Write a quota."""
        return cls(
            id=quota.id,
            revision=quota.revision,
            created_at=at(quota.created_at_ms),
            updated_at=at(quota.updated_at_ms),
            team=quota.team_id,
            team_name=quota.team,
            environment=quota.environment,
            **AmountsOut.of(quota.amounts).model_dump(),
        )


class HolderOut(Out):
    """A deployment that holds some of it."""

    deployment: str
    name: str
    held: AmountsOut
    ending: bool = Field(description="It is being deleted; what it holds is free in seconds.")
    until: datetime | None = Field(description="When it ends by itself, where it does.")

    @classmethod
    def of(cls, holding: Holding) -> "HolderOut":
        """Write a holder."""
        return cls(
            deployment=holding.deployment_id,
            name=holding.name,
            held=AmountsOut.held(holding.draw),
            ending=holding.ending,
            until=at_or_none(holding.until_ms),
        )


class QuotaStateOut(Out):
    """Where a team stands in one environment."""

    quota: str | None = Field(description="Id of the quota; null: the default of the settings.")
    team: str
    team_name: str
    environment: str
    allowed: AmountsOut = Field(description="Null is not limited.")
    used: AmountsOut = Field(description="Held by everything the team runs there.")
    free: AmountsOut
    holders: list[HolderOut]
    hidden: int = Field(description="Deployments that hold some of it and that you may not see.")

    @classmethod
    def of(cls, state: State) -> "QuotaStateOut":
        """Write where a team stands."""
        return cls(
            quota=state.quota.id if state.quota else None,
            team=state.team_id,
            team_name=state.team,
            environment=state.environment,
            allowed=AmountsOut.of(state.amounts),
            used=AmountsOut.held(state.used),
            free=AmountsOut.left(state.amounts, state.used),
            holders=[HolderOut.of(holding) for holding in state.holdings],
            hidden=state.hidden,
        )


def _read(given: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in given.items():
        if name == "cpu":
            found["cpu_milli"] = None if value is None else quantity.milli(value)
        elif name == "memory":
            found["memory_bytes"] = None if value is None else int(quantity.quantity(value))
        else:
            found[name] = value
    return found


def _written(write: Any, value: int | None) -> str | None:
    return None if value is None else write(value)


def _less(most: int | None, used: int) -> int | None:
    return None if most is None else max(0, most - used)
