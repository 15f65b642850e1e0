"""A policy: what it looks at, when it holds, and what becomes of what it finds."""

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from towpath_server.core.errors import Finding

API_VERSION = "towpath.dev/v1alpha1"
KIND = "Policy"


class Mode(enum.StrEnum):
    """What becomes of what a policy finds."""

    ENFORCE = "enforce"
    """The manifest is refused."""
    WARN = "warn"
    """Whoever deploys is told."""
    AUDIT = "audit"
    """The audit event of the deployment has it, and nobody is told."""


@dataclass(frozen=True)
class Named:
    """An expression with a name: a condition, or a variable that others use."""

    name: str
    expression: str


@dataclass(frozen=True)
class Validation:
    """An expression that must be true, and what is said when it is not."""

    expression: str
    path: str
    reason: str
    message: str | None = None
    message_expression: str | None = None
    fix: str | None = None
    fix_expression: str | None = None


@dataclass(frozen=True)
class Match:
    """Which deployments a policy looks at; an empty part is all of them."""

    environments: tuple[str, ...] = ()
    teams: tuple[str, ...] = ()
    projects: tuple[str, ...] = ()
    runtimes: tuple[str, ...] = ()
    formats: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rules:
    """What a policy says."""

    name: str
    mode: Mode
    match: Match = Match()
    conditions: tuple[Named, ...] = ()
    variables: tuple[Named, ...] = ()
    validations: tuple[Validation, ...] = ()

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "Rules":
        """Read a policy's document, which was checked when it came in."""
        spec = document["spec"]
        name = document["metadata"]["name"]
        word = "".join(part.capitalize() for part in name.split("-"))
        reason = word if word[:1].isalpha() else f"Policy{word}"
        return cls(
            name=name,
            mode=Mode(spec["mode"]),
            match=Match(**{part: tuple(listed) for part, listed in spec.get("match", {}).items()}),
            conditions=tuple(Named(**one) for one in spec.get("matchConditions", ())),
            variables=tuple(Named(**one) for one in spec.get("variables", ())),
            validations=tuple(
                Validation(
                    expression=one["expression"],
                    path=one.get("path", "#/spec"),
                    reason=one.get("reason", reason),
                    message=one.get("message"),
                    message_expression=one.get("messageExpression"),
                    fix=one.get("fix"),
                    fix_expression=one.get("fixExpression"),
                )
                for one in spec["validations"]
            ),
        )


@dataclass(frozen=True)
class Default:
    """A policy that comes with the platform."""

    name: str
    mode: Mode
    description: str
    document: Mapping[str, Any]
    text: str
    """Its file, with the comments that explain it."""


@dataclass(frozen=True)
class PolicyDraft:
    """A policy as it was sent."""

    name: str
    team: str | None
    """Name or id of the team whose deployments it restricts; none for everybody's."""
    mode: Mode
    document: Mapping[str, Any]


@dataclass(frozen=True)
class Policy:
    """A rule of the organisation, or of one team for its own deployments."""

    id: str
    revision: int
    """Number of the newest version, and the `ETag`."""
    created_at_ms: int
    updated_at_ms: int
    name: str
    team_id: str | None
    mode: Mode
    document: Mapping[str, Any]
    team: str | None = field(default=None, compare=False)
    """Name of the team, as it is called now."""


@dataclass(frozen=True)
class PolicyVersion:
    """What a policy said at one time."""

    policy_id: str
    number: int
    name: str
    change: str
    """`created`, `updated` or `deleted`."""
    mode: Mode
    document: Mapping[str, Any]
    at_ms: int
    by: str


@dataclass(frozen=True)
class ExemptionDraft:
    """What somebody asks to be exempt for."""

    project: str
    """Id, or `team/project`."""
    name: str
    """Of the deployment, which need not be there yet."""
    environment: str
    until_ms: int


@dataclass(frozen=True)
class Exemption:
    """That a policy does not refuse one deployment."""

    approval_id: str
    until_ms: int


@dataclass(frozen=True)
class Raised:
    """Something a policy found."""

    policy: str
    mode: Mode
    finding: Finding


@dataclass(frozen=True)
class Verdict:
    """What all policies say of one manifest."""

    raised: Sequence[Raised]
    looked: int
    """How many policies looked at it."""

    def of(self, mode: Mode) -> tuple[Finding, ...]:
        """Return the findings of the policies of one mode."""
        return tuple(one.finding for one in self.raised if one.mode is mode)
