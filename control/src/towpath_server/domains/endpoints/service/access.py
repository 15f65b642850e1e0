"""Who may call an endpoint: reading what was declared, and telling who sees what."""

from collections.abc import Collection

from towpath_server.core import suggest
from towpath_server.core.access import Principal, Verb
from towpath_server.core.db import Tx
from towpath_server.core.errors import Finding
from towpath_server.domains.endpoints.models import (
    ENVIRONMENTS,
    Access,
    AccessDraft,
    Allow,
    Endpoint,
    Visibility,
)
from towpath_server.domains.projects import service as projects
from towpath_server.domains.teams import service as teams


async def read(
    tx: Tx, draft: AccessDraft, *, environment: str, owned: bool, at: str
) -> tuple[Access, list[Finding]]:
    """
    Turn declared access into what is stored, and list what does not hold.

    Args:
        owned: Whether a project owns the endpoint; else it is the platform's.
        at: Where the access stands in the payload.
    """
    findings: list[Finding] = []
    visibility = draft.visibility or (Visibility.PROJECT if owned else Visibility.ORGANIZATION)
    if not owned and visibility is not Visibility.ORGANIZATION:
        findings.append(
            Finding(
                f"{at}/visibility",
                "An endpoint of no project can only be seen by the whole organisation.",
                "Use `organization`, or name a `project`.",
                reason="Contradiction",
            )
        )
    allow = []
    for index, (kind, ref) in enumerate(draft.allow):
        found = await (teams.find(tx, ref) if kind == "team" else projects.find(tx, ref))
        if found is None:
            fix = "Write a team by its name: `towpath teams` lists them."
            if kind == "project":
                fix = "Write a project as `team/project`: `towpath projects` lists them."
            place, reason = f"{at}/allow/{index}/{kind}", f"Unknown{kind.capitalize()}"
            findings.append(Finding(place, f"There is no {kind} `{ref}`.", fix, reason=reason))
        elif all((kind, found.id) != (known.kind, known.id) for known in allow):
            allow.append(Allow(kind, found.id, ref))
    callers = {environment, *(draft.callers or ())}
    findings += _caller_findings(callers, environment, at)
    ordered = tuple(name for name in ENVIRONMENTS if name in callers)
    return Access(visibility, tuple(allow), ordered), findings


def _caller_findings(callers: Collection[str], environment: str, at: str) -> list[Finding]:
    findings = []
    for name in sorted(callers):
        if name not in ENVIRONMENTS:
            hint = suggest.did_you_mean(name, ENVIRONMENTS)
            known = ", ".join(f"`{one}`" for one in ENVIRONMENTS)
            detail = f"`{name}` is not an environment."
            fix = hint or f"Use some of {known}."
            findings.append(Finding(f"{at}/callers", detail, fix, reason="UnknownValue"))
    if "production" in callers and environment != "production":
        findings.append(
            Finding(
                f"{at}/callers",
                f"Production keys do not call what is in {environment}.",
                "Deploy it to production, and share that with the other environments' callers.",
                reason="NotForProduction",
            )
        )
    return findings


def shared_with(caller: Principal) -> set[tuple[str, str]]:
    """Return every team and project that the caller acts for."""
    found = {("team", team) for team in caller.roles}
    if caller.team is not None:
        found.add(("team", caller.team))
    if caller.project is not None:
        found.add(("project", caller.project))
    return found


def sees(endpoint: Endpoint, caller: Principal) -> bool:
    """Tell whether the caller may know of an endpoint that is shared with them."""
    if not _reads_at_all(caller):
        return False
    acts_for = shared_with(caller)
    access = endpoint.access
    return (
        access.visibility is Visibility.ORGANIZATION
        or (access.visibility is Visibility.TEAM and ("team", endpoint.team_id) in acts_for)
        or any((allow.kind, allow.id) in acts_for for allow in access.allow)
    )


def admits(other: Endpoint, endpoint: Endpoint) -> bool:
    """
    Tell whether all who may call one endpoint may be served by another.

    The fallback must open nothing that is closed to the project that owns the endpoint.
    """
    granted = other.access
    if granted.visibility is Visibility.ORGANIZATION or other.project_id == endpoint.project_id:
        return True
    if endpoint.project_id is None:
        return False
    same_team = granted.visibility is Visibility.TEAM and other.team_id == endpoint.team_id
    owner = {("project", endpoint.project_id), ("team", endpoint.team_id)}
    return same_team or any((allow.kind, allow.id) in owner for allow in granted.allow)


def _reads_at_all(caller: Principal) -> bool:
    own = caller.may(Verb.READ, "endpoint", team=caller.team, project=caller.project)
    return own or any(caller.may(Verb.READ, "endpoint", team=team) for team in caller.roles)
