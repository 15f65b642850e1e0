"""What may be deployed, and what is said of what may not."""

from datetime import datetime
from typing import Any, Literal

from towpath.model import Model
from towpath.types.resource import Resource

PolicyMode = Literal["enforce", "warn", "audit"]


class Policy(Resource):
    """A rule for what may be deployed; `document` is its file."""

    name: str
    team: str | None
    mode: PolicyMode
    description: str
    document: dict[str, Any]


class PolicyVersion(Model):
    """What a policy said at one time."""

    number: int
    change: Literal["created", "updated", "deleted"]
    mode: PolicyMode
    at: datetime
    by: str
    document: dict[str, Any]


class DefaultPolicy(Model):
    """A policy that comes with the platform, as it comes."""

    name: str
    mode: PolicyMode
    description: str
    document: dict[str, Any]


class ManifestFinding(Model):
    """Something that is said of a manifest: where, what, and what to do."""

    path: str
    reason: str
    message: str
    line: int | None
    fix: str | None


class RaisedFinding(ManifestFinding):
    """What a policy found, and what comes of it by the policy's mode."""

    policy: str
    mode: PolicyMode


class PolicyCase(Model):
    """What all policies say of one case; `policies` is how many looked at it."""

    policies: int
    raised: list[RaisedFinding]


class PolicyEvaluation(Model):
    """What all policies say of all cases, in their order."""

    cases: list[PolicyCase]
