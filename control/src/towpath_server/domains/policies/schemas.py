"""Policies on the wire: the document in, the policy out."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
)
from pydantic.alias_generators import to_camel

from towpath_server.core import documents
from towpath_server.core.clock import to_ms
from towpath_server.core.errors import Finding, InvalidRequest
from towpath_server.domains.policies.errors import PolicyInvalid
from towpath_server.domains.policies.models import (
    API_VERSION,
    KIND,
    Default,
    ExemptionDraft,
    Mode,
    Policy,
    PolicyDraft,
    PolicyVersion,
    Raised,
    Rules,
    Verdict,
)
from towpath_server.domains.policies.service import facts, rules
from towpath_server.web import problems
from towpath_server.web.schemas import In, Name, Out, Ref, Resource, at

_MAX_NAMED = 32  # variables or conditions of one policy: a screen of them
_MAX_VALIDATIONS = 32
_MAX_MATCHED = 100
_MAX_POLICIES = 50  # of one dry evaluation
_MAX_CASES = 100

Environment = Literal["sandbox", "staging", "production"]
Expression = Annotated[str, StringConstraints(min_length=1), Field(description="CEL.")]
Words = Annotated[str, StringConstraints(min_length=1, max_length=1_000)]
Word = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Label = Annotated[str, StringConstraints(pattern=r"^[a-z][A-Za-z0-9_-]{0,62}$")]
Identifier = Annotated[str, StringConstraints(pattern=r"^[a-z][A-Za-z0-9_]{0,62}$")]


class _Part(BaseModel):
    model_config = ConfigDict(
        alias_generator=to_camel, extra="forbid", frozen=True, strict=True, validate_by_name=False
    )


class PolicyMetadata(_Part):
    """Who it is."""

    name: Name
    team: Ref | None = Field(
        None, description="The team whose deployments it restricts; none: everybody's."
    )
    description: Annotated[str, StringConstraints(max_length=2_000)] = ""


class PolicyMatch(_Part):
    """Which deployments it looks at; an absent part is all of them."""

    environments: list[Environment] = Field(default_factory=list, max_length=3)
    teams: list[Word] = Field(default_factory=list, max_length=_MAX_MATCHED)
    projects: list[Word] = Field(default_factory=list, max_length=_MAX_MATCHED)
    runtimes: list[Word] = Field(default_factory=list, max_length=_MAX_MATCHED)
    formats: list[Word] = Field(default_factory=list, max_length=_MAX_MATCHED)


class PolicyCondition(_Part):
    """An expression that must be true for the policy to look at a manifest."""

    name: Label
    expression: Expression


class PolicyVariable(_Part):
    """An expression with a name that others use as `variables.name`."""

    name: Identifier
    expression: Expression


class PolicyValidation(_Part):
    """An expression that must be true, and what is said when it is not."""

    expression: Expression
    message: Words | None = None
    message_expression: Expression | None = None
    fix: Words | None = None
    fix_expression: Expression | None = None
    reason: Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Za-z0-9]{0,62}$")] | None = Field(
        None, description="One word for programs; else made of the policy's name."
    )
    path: Annotated[str, StringConstraints(pattern=r"^#(/[^/\s]{1,100}){0,20}$")] = Field(
        "#/spec", description="JSON pointer to the part of the manifest that it is about."
    )


class PolicySpec(_Part):
    """What it says."""

    mode: Literal["enforce", "warn", "audit"]
    match: PolicyMatch = Field(default_factory=PolicyMatch)
    match_conditions: list[PolicyCondition] = Field(default_factory=list, max_length=_MAX_NAMED)
    variables: list[PolicyVariable] = Field(default_factory=list, max_length=_MAX_NAMED)
    validations: list[PolicyValidation] = Field(min_length=1, max_length=_MAX_VALIDATIONS)


class PolicyDocument(_Part):
    """A policy, as its file is written."""

    api_version: Literal["towpath.dev/v1alpha1"]
    kind: Literal["Policy"]
    metadata: PolicyMetadata
    spec: PolicySpec


class ExemptionRequest(In):
    """For what a policy is asked not to refuse, and until when."""

    policy: Ref
    project: Ref
    name: Name
    environment: Environment
    until: AwareDatetime

    def draft(self) -> ExemptionDraft:
        """Read what is asked for."""
        return ExemptionDraft(self.project, self.name, self.environment, to_ms(self.until))


def asked(payload: Mapping[str, Any]) -> ExemptionRequest:
    """
    Read what somebody asks to be exempt for.

    Raises:
        InvalidRequest: It is no such request; every finding is listed.
    """
    fix = "Give `policy`, `project`, `name`, `environment` and `until` (RFC 3339)."
    try:
        return ExemptionRequest.model_validate(dict(payload))
    except ValidationError as error:
        findings = [
            Finding(
                "#/payload" + "".join(f"/{part}" for part in entry["loc"]), f"{entry['msg']}.", fix
            )
            for entry in error.errors(include_url=False)
        ]
        detail = "The payload asks for no exemption from a policy."
        raise InvalidRequest(detail, fix=fix, findings=findings) from error


def read_bytes(body: bytes, content_type: str) -> PolicyDraft:
    """
    Read a policy as it was sent, JSON or YAML.

    Raises:
        ManifestUnreadable: It is no document at all.
        PolicyInvalid: Something is wrong in it; every finding is listed, with its place.
    """
    document, lines = documents.read(body, content_type)
    return read(document, lines)


def read(document: Any, lines: Mapping[str, int] | None = None) -> PolicyDraft:
    """
    Read a policy's document.

    Raises:
        PolicyInvalid: Something is wrong in it; every finding is listed, with its place.
    """
    try:
        policy = PolicyDocument.model_validate(document)
    except ValidationError as error:
        entries: list[Any] = [
            {**entry, "loc": ("body", *entry["loc"])} for entry in error.errors(include_url=False)
        ]
        found = problems.invalid(entries, PolicyDocument).findings
        raise PolicyInvalid(
            [documents.placed(_mended(finding), lines or {}) for finding in found]
        ) from error
    draft = PolicyDraft(
        name=policy.metadata.name,
        team=policy.metadata.team,
        mode=Mode(policy.spec.mode),
        document=policy.model_dump(by_alias=True, exclude_unset=True),
    )
    findings = [*_worded(policy), *_once(policy), *rules.check(Rules.of(draft.document))]
    if findings:
        raise PolicyInvalid([documents.placed(finding, lines or {}) for finding in findings])
    return draft


_PATTERNS = {
    "name": "Use letters and digits, small ones first; hyphens in names of policies and conditions "
    "alone.",
    "reason": "Write one word that begins with a capital, such as `LicenceMissing`.",
    "path": "Write a JSON pointer, such as `#/spec/runtime/name`.",
}


def _mended(finding: Finding) -> Finding:
    """Say what would be right, where a pattern or a constant was missed."""
    field = finding.path.rpartition("/")[2]
    constants = {"#/apiVersion": API_VERSION, "#/kind": KIND}
    if finding.path in constants:
        value = constants[finding.path]
        fix = f"Write `{field}: {value}`."
        return Finding(finding.path, f"It must be `{value}`.", fix, reason=finding.reason)
    if "pattern" in finding.message and field in _PATTERNS:
        return Finding(finding.path, f"`{field}` is not written so.", _PATTERNS[field])
    return finding


def _worded(policy: PolicyDocument) -> Sequence[Finding]:
    """Look for validations that would leave somebody without words."""
    findings = []
    for index, one in enumerate(policy.spec.validations):
        for name, text, expression in (
            ("message", one.message, one.message_expression),
            ("fix", one.fix, one.fix_expression),
        ):
            if (text is None) == (expression is None):
                both = "stand both" if text else "are both missing"
                findings.append(
                    Finding(
                        f"#/spec/validations/{index}/{name}",
                        f"`{name}` and `{name}Expression` {both}.",
                        "Write one of them: a refusal says what is wrong and what to do.",
                        reason="Duplicate" if text else "Missing",
                    )
                )
    return findings


def _once(policy: PolicyDocument) -> Sequence[Finding]:
    findings = []
    for field in ("variables", "match_conditions"):
        names = [one.name for one in getattr(policy.spec, field)]
        findings += [
            Finding(
                f"#/spec/{to_camel(field)}/{index}/name",
                f"`{name}` stands twice.",
                "Give each a name of its own.",
                reason="Duplicate",
            )
            for index, name in enumerate(names)
            if name in names[:index]
        ]
    return findings


class PolicyOut(Resource):
    """A rule for what may be deployed."""

    name: str
    team: str | None = Field(
        description="The team whose deployments it restricts; null: everybody's."
    )
    mode: Literal["enforce", "warn", "audit"]
    description: str
    document: dict[str, Any] = Field(description="The policy, as its file is written.")

    @classmethod
    def of(cls, policy: Policy) -> "PolicyOut":
        """Write a policy."""
        return cls(
            id=policy.id,
            revision=policy.revision,
            created_at=at(policy.created_at_ms),
            updated_at=at(policy.updated_at_ms),
            name=policy.name,
            team=policy.team,
            mode=policy.mode.value,
            description=policy.document["metadata"].get("description", ""),
            document=dict(policy.document),
        )


class PolicyVersionOut(Out):
    """What a policy said at one time."""

    number: int
    change: Literal["created", "updated", "deleted"]
    mode: str
    at: datetime
    by: str = Field(description="Id of who changed it.")
    document: dict[str, Any]

    @classmethod
    def of(cls, version: PolicyVersion) -> "PolicyVersionOut":
        """Write a version."""
        return cls(
            number=version.number,
            change=version.change,  # type: ignore[arg-type]
            mode=version.mode,
            at=at(version.at_ms),
            by=version.by,
            document=dict(version.document),
        )


class PolicyDefaultOut(Out):
    """A policy that comes with the platform."""

    name: str
    mode: Literal["enforce", "warn", "audit"]
    description: str
    document: dict[str, Any]

    @classmethod
    def of(cls, default: Default) -> "PolicyDefaultOut":
        """Write a default."""
        return cls(
            name=default.name,
            mode=default.mode.value,
            description=default.description,
            document=dict(default.document),
        )


class EvaluationCase(In):
    """A manifest that nobody deploys, and what else is so."""

    environment: Environment
    manifest: dict[str, Any]
    facts: dict[str, Any] = Field(
        default_factory=dict,
        description="Facts in place of those that the manifest suggests; maps are merged.",
    )


class PolicyEvaluation(In):
    """What to try out."""

    team: Ref | None = Field(None, description="Whose policies hold beside the organisation's.")
    policies: list[dict[str, Any]] | None = Field(
        None,
        max_length=_MAX_POLICIES,
        description="Policies that need not be in force; none: those that are.",
    )
    cases: list[EvaluationCase] = Field(min_length=1, max_length=_MAX_CASES)

    def drafts(self) -> list[PolicyDraft] | None:
        """
        Read the policies.

        Raises:
            PolicyInvalid: One of them cannot be used; its findings begin with its place.
        """
        if self.policies is None:
            return None
        drafts = []
        for index, document in enumerate(self.policies):
            try:
                drafts.append(read(document))
            except PolicyInvalid as error:
                raise PolicyInvalid(
                    [
                        Finding(
                            f"#/policies/{index}{one.path[1:]}",
                            one.message,
                            one.fix,
                            reason=one.reason,
                        )
                        for one in error.findings
                    ]
                ) from error
        return drafts

    def tried(self) -> list[facts.Facts]:
        """
        Put together what each case is judged by.

        Raises:
            PolicyInvalid: A case names a fact that there is not.
        """
        findings = [
            finding
            for index, case in enumerate(self.cases)
            for finding in facts.unfit(case.facts, at=f"#/cases/{index}/facts")
        ]
        if findings:
            raise PolicyInvalid(findings)
        return [
            facts.Facts(facts.sample(case.manifest, case.environment, case.facts))
            for case in self.cases
        ]


class RaisedOut(problems.FindingOut):
    """Something a policy found."""

    policy: str
    mode: Literal["enforce", "warn", "audit"]

    @classmethod
    def raised(cls, raised: Raised) -> "RaisedOut":
        """Write it."""
        return cls(policy=raised.policy, mode=raised.mode.value, **vars(raised.finding))


class CaseOut(Out):
    """What all policies say of one case."""

    policies: int = Field(description="How many looked at it.")
    raised: list[RaisedOut]

    @classmethod
    def of(cls, verdict: Verdict) -> "CaseOut":
        """Write a verdict."""
        return cls(
            policies=verdict.looked, raised=[RaisedOut.raised(raised) for raised in verdict.raised]
        )


class PolicyEvaluationOut(Out):
    """What all policies say of all cases, in their order."""

    cases: list[CaseOut]

    @classmethod
    def of(cls, verdicts: Sequence[Verdict]) -> "PolicyEvaluationOut":
        """Write verdicts."""
        return cls(cases=[CaseOut.of(verdict) for verdict in verdicts])
