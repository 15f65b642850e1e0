"""
How an endpoint serves: timeouts, choice of targets, retries, cache, tiers.

Defaults and names are those of the routing table (`gateway/crates/wire/src/routing`); a test holds
them against `contracts/routing.schema.json`. What is at its default is neither stored nor sent.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

SPREADS = ("weighted", "least_outstanding", "peak_ewma", "prefix")
STICKY = ("key", "user")
TIER_CHECKS = ("empty", "refusal", "schema", "length")


@dataclass(frozen=True)
class Timeouts:
    """How long each phase of a call may take."""

    connect_ms: int = 2_000
    first_byte_ms: int = 300_000
    silence_ms: int = 60_000
    total_ms: int = 600_000
    attempt_ms: int = 0


@dataclass(frozen=True)
class Balance:
    """How calls are spread over targets, and over one target's replicas."""

    targets: str = "weighted"
    replicas: str | None = None
    sticky: str | None = None


@dataclass(frozen=True)
class Retries:
    """How often a call is tried, over all targets and replicas."""

    attempts: int = 4
    budget_percent: int = 20
    min_per_second: int = 10


@dataclass(frozen=True)
class TierLevel:
    """One model of a tiered endpoint."""

    name: str
    target: str
    """Name of one of the endpoint's targets."""


@dataclass(frozen=True)
class TierRule:
    """A CEL expression over the request's facts, and the level it chooses."""

    name: str
    when: str
    level: str


@dataclass(frozen=True)
class Tier:
    """A choice between models by what is asked, and by whether a cheap answer will do."""

    levels: tuple[TierLevel, ...]
    rules: tuple[TierRule, ...] = ()
    escalate_on: tuple[str | tuple[str, float], ...] = ()
    """A check by name, or (`mean_logprob`, bound)."""

    def document(self, targets: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Write it; with `targets`, ids stand for the names of targets."""
        named = targets or {}
        return {
            "levels": [
                {"name": level.name, "target": named.get(level.target, level.target)}
                for level in self.levels
            ],
            **({"rules": [asdict(rule) for rule in self.rules]} if self.rules else {}),
            **({"escalate_on": self._checks()} if self.escalate_on else {}),
        }

    def _checks(self) -> list[Any]:
        return [one if isinstance(one, str) else {one[0]: one[1]} for one in self.escalate_on]

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "Tier":
        """Read what `document` wrote."""
        checks: list[str | tuple[str, float]] = []
        for one in document.get("escalate_on", ()):
            checks += [one] if isinstance(one, str) else [*one.items()]
        return cls(
            levels=tuple(TierLevel(**level) for level in document["levels"]),
            rules=tuple(TierRule(**rule) for rule in document.get("rules", ())),
            escalate_on=tuple(checks),
        )


@dataclass(frozen=True)
class Serving:
    """How an endpoint chooses among its targets, and what it does when one of them fails."""

    timeouts: Timeouts = field(default_factory=Timeouts)
    balance: Balance = field(default_factory=Balance)
    retries: Retries = field(default_factory=Retries)
    stream_recovery: str = "none"
    cache_ttl_ms: int | None = None
    tier: Tier | None = None

    def document(self, targets: Mapping[str, str] | None = None) -> dict[str, Any]:
        """
        Return what differs from the defaults, as the routing table and the store write it.

        Args:
            targets: Ids by name of the endpoint's targets; without, tiers keep the names.
        """
        found: dict[str, Any] = {}
        for name in ("timeouts", "balance", "retries"):
            part, usual = vars(getattr(self, name)), vars(getattr(_DEFAULT, name))
            changed = {key: value for key, value in part.items() if value != usual[key]}
            if changed:
                found[name] = changed
        if self.stream_recovery != _DEFAULT.stream_recovery:
            found["stream_recovery"] = self.stream_recovery
        if self.cache_ttl_ms is not None:
            found["cache"] = {"ttl_ms": self.cache_ttl_ms}
        if self.tier is not None:
            found["tier"] = self.tier.document(targets)
        return found

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "Serving":
        """Read what `document` wrote."""
        tier = document.get("tier")
        return cls(
            timeouts=Timeouts(**document.get("timeouts", {})),
            balance=Balance(**document.get("balance", {})),
            retries=Retries(**document.get("retries", {})),
            stream_recovery=document.get("stream_recovery", "none"),
            cache_ttl_ms=document.get("cache", {}).get("ttl_ms"),
            tier=Tier.of(tier) if tier else None,
        )


_DEFAULT = Serving()
