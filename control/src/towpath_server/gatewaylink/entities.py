"""
The routing table's entities, written from the domains' models.

Pure functions, one per kind; `contracts/routing.schema.json` is what they must meet, and a test
holds every one of them against it. A field that has no value is left out.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from towpath_server.core.money import Price
from towpath_server.domains.blocks.models import Block
from towpath_server.domains.budgets.models import Budget, Unit
from towpath_server.domains.endpoints.models import Replica, RoutedEndpoint, RoutedTarget
from towpath_server.domains.keys.models import Key, StandIn
from towpath_server.domains.limits.models import RATES, Limit
from towpath_server.domains.projects.models import BodyMode, Project
from towpath_server.domains.providers.models import Credential
from towpath_server.domains.teams.models import Team

Value = dict[str, Any]

PLATFORM_ID = "platform"


def team(found: Team) -> Value:
    """Write a team."""
    return {"name": found.name, "weight": found.weight}


def project(found: Project) -> Value:
    """Write a project."""
    value: Value = {"name": found.name, "team": found.team_id}
    log = found.body_log
    if log.mode is not BodyMode.METADATA or log.redact:
        value["body_log"] = {
            "mode": log.mode.value,
            "redact": [{"name": one.name, "pattern": one.pattern} for one in log.redact],
        }
    return value


def key(found: Key | StandIn) -> Value:
    """Write a key or service account; its hash stands for it."""
    if isinstance(found, StandIn):
        return _stand_in(found)
    return _present(
        {
            "hash": found.hash,
            "project": found.project_id,
            "environment": found.environment.value,
            "application": found.application_id,
            "scopes": [str(scope) for scope in found.scopes],
            "endpoints": _listed(found.endpoints),
            "operations": _listed(found.operations),
            "sources": _listed(found.sources),
            "max_data_class": found.max_data_class,
            "priority": found.priority.value if found.priority else None,
            "expires_at_ms": found.expires_at_ms,
        }
    )


def _stand_in(found: StandIn) -> Value:
    return _present(
        {
            "hash": found.hash,
            "project": found.project_id,
            "environment": found.environment.value,
            "scopes": [],
            "sources": _listed(found.sources),
            "expires_at_ms": found.expires_at_ms,
            "acts_as": found.key_id,
        }
    )


def price(found: Price, currency: str) -> Value:
    """Write a price, in the organisation's currency."""
    return _present({"currency": currency, "from_ms": found.from_ms, **found.amounts.given()})


def credential(found: Credential) -> Value:
    """Write a credential; it stays sealed, and the gateway alone opens it."""
    scheme: Any = {"header": found.header} if found.header else "bearer"
    return {"sealed": found.sealed, "scheme": scheme}


def limit(found: Limit) -> Value:
    """Write a limit; a burst that is not set is the gateway's default."""
    rules = found.rules
    rates = {name: getattr(rules, name) for name in RATES}
    return _present(
        {
            "subject": found.subject.given(),
            "label": found.label,
            **{name: _present(dict(vars(rate))) for name, rate in rates.items() if rate},
            "concurrency": rules.concurrency,
        }
    )


def budget(found: Budget) -> Value:
    """Write a budget."""
    return {
        "subject": found.subject.given(),
        "label": found.label,
        "tokens" if found.unit is Unit.TOKENS else "cost_nano": found.amount,
        "period": found.period.value,
        "mode": found.mode.value,
        "warn_percent": found.warn_percent,
    }


def block(found: Block) -> Value:
    """Write a block."""
    return _present({"what": {found.what.value: found.ref}, "reason": found.reason})


def endpoint(found: RoutedEndpoint) -> Value:
    """Write an endpoint; what is at the gateway's defaults is left out."""
    value = {
        "name": found.name,
        "environment": found.environment,
        "project": found.project,
        "visibility": found.visibility,
        "callers": list(found.callers),
        "targets": [{"target": id_, "weight": weight} for id_, weight in found.targets],
        "created_at_ms": found.created_at_ms,
        **found.serving,
    }
    if found.allow:
        value["allow"] = [{kind: id_} for kind, id_ in found.allow]
    if found.fallback:
        value["fallback"] = [{kind: id_} for kind, id_ in found.fallback]
    return _present(value)


def target(found: RoutedTarget) -> Value:
    """Write a target with the servers that are ready now."""
    value = {
        "name": found.name,
        "kind": found.kind,
        "dialect": found.dialect,
        "replicas": [_replica(replica) for replica in found.replicas],
        "upstream_model": found.upstream_model,
        "credential": found.credential,
        "provider": found.provider,
        "model": dict(found.model) if found.model is not None else None,
        "signature": dict(found.signature) if found.signature is not None else None,
        "operations": list(found.operations),
        "request_fields": _fields(found),
        "region": found.region,
        "operator": found.operator,
        "max_data_class": found.max_data_class,
        "context_length": found.context_length,
        "owned_by": found.owned_by,
        "candidate": dict(vars(found.candidate)) if found.candidate else None,
        **found.handling.document(),
    }
    if found.prices:
        value["prices"] = list(found.prices)
    if found.modalities:
        value["modalities"] = list(found.modalities)
    return _present(value)


def _replica(found: Replica) -> Value:
    return _present({"id": found.id, "address": found.address, "credential": found.credential})


def _fields(found: RoutedTarget) -> Value | None:
    if found.request_fields is None:
        return None
    return {name: dict(rule) for name, rule in found.request_fields.items()}


def platform(
    *,
    name: str,
    currency: str,
    ready_when: list[str],
    egress_allow: Sequence[str] = (),
    max_table_age_ms: Mapping[str, int] | None = None,
) -> Value:
    """Write what holds for the whole organisation; what is empty is left out."""
    rules: Value = {
        "ready_when": ready_when,
        "egress_allow": list(egress_allow),
        "max_table_age_ms": dict(max_table_age_ms or {}),
    }
    given = {field: value for field, value in rules.items() if value}
    return {"name": name, "currency": currency, **given}


def _listed(values: Any) -> list[str] | None:
    return None if values is None else [str(value) for value in values]


def _present(value: Value) -> Value:
    return {name: field for name, field in value.items() if field is not None}
