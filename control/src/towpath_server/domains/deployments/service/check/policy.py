"""What the organisation's policies say of a manifest."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from towpath_server.core import documents
from towpath_server.core.clock import from_ms
from towpath_server.core.errors import Finding
from towpath_server.domains.deployments.models import Resources
from towpath_server.domains.deployments.service.check.inquiry import Inquiry
from towpath_server.domains.evaluations import service as evaluations
from towpath_server.domains.policies import service as policies
from towpath_server.domains.policies.models import Exemption, Mode, Raised, Verdict
from towpath_server.domains.policies.service import Facts
from towpath_server.domains.projects.models import Project


async def check(inquiry: Inquiry) -> None:
    """
    Judge a manifest by all policies in force.

    A manifest that has other faults is judged by what is known of it.
    """
    if inquiry.project is None:
        return
    facts = _facts(inquiry, inquiry.project, await _evaluations(inquiry))
    try:
        _ = facts.size
    except ValueError as error:
        fix = "Write it flat; a manifest has a few levels."
        inquiry.add("#", "TooDeep", f"The manifest cannot be judged: {error}.", fix)
        return
    verdict = await policies.judge(inquiry.tx, team_id=inquiry.project.team_id, facts=facts)
    exempt = await _exempt(inquiry, inquiry.project, verdict)
    broken = bool(inquiry.draft.findings)
    for raised in verdict.raised:
        if broken and raised.finding.reason == policies.FAILED:
            continue  # most likely because of what the manifest gets wrong itself
        if raised.policy in exempt:
            finding = _excused(raised.finding, exempt[raised.policy])
            _warn(inquiry, finding)
            inquiry.audited.append((raised.policy, finding))
        elif raised.mode is Mode.ENFORCE:
            inquiry.findings.append(_refused(inquiry, raised))
        elif raised.mode is Mode.WARN:
            _warn(inquiry, raised.finding)
        else:
            inquiry.audited.append((raised.policy, raised.finding))
    inquiry.policies = verdict.looked


async def _exempt(inquiry: Inquiry, project: Project, verdict: Verdict) -> Mapping[str, Exemption]:
    """Return from which of the policies that would refuse the deployment is exempt."""
    refusing = {one.policy for one in verdict.raised if one.mode is Mode.ENFORCE}
    metadata = inquiry.draft.metadata
    if not refusing or metadata is None:
        return {}
    found = await policies.exempt(
        inquiry.tx,
        team_id=project.team_id,
        project_id=project.id,
        name=metadata.name,
        environment=inquiry.environment,
    )
    return {name: one for name, one in found.items() if name in refusing}


def _excused(finding: Finding, exemption: Exemption) -> Finding:
    """Say that it does not refuse, by whose word and how long."""
    end = from_ms(exemption.until_ms).isoformat(timespec="seconds").replace("+00:00", "Z")
    said = f"{finding.message} Exempt until {end} ({exemption.approval_id})."
    return replace(finding, message=said)


def _refused(inquiry: Inquiry, raised: Raised) -> Finding:
    """Add how to ask for an exemption to what is to be done."""
    metadata, finding = inquiry.draft.metadata, raised.finding
    if metadata is None or inquiry.project is None:
        return finding
    asking = (
        f"ask to be exempt: `towpath policies request {raised.policy} {metadata.name} "
        f"--project {inquiry.project.path} --environment {inquiry.environment} "
        "--until DATE --reason TEXT`."
    )
    first = (finding.fix or "").rstrip(". ")
    return replace(finding, fix=f"{first}; or {asking}" if first else f"A{asking[1:]}")


def _warn(inquiry: Inquiry, finding: Finding) -> None:
    inquiry.warnings.append(
        documents.placed(finding.located(inquiry.draft.moved), inquiry.draft.lines)
    )


def noted(found: list[tuple[str, Finding]]) -> list[dict[str, str]]:
    """Write what only the audit log is told."""
    return [
        {"policy": name, "reason": one.reason, "path": one.path, "message": one.message}
        for name, one in found
    ]


def _facts(inquiry: Inquiry, project: Project, results: list[dict[str, Any]]) -> Facts:
    draft, document = inquiry.draft, inquiry.draft.document
    spec = document.get("spec")
    unknown = {
        name
        for name, known in (
            ("model", inquiry.version),
            ("evaluations", inquiry.version and inquiry.runtime),
            ("runtime", inquiry.runtime),
            ("resources", draft.resources),
        )
        if known is None
    }
    values: dict[str, Any] = {
        "manifest": document,
        "spec": spec if isinstance(spec, dict) else {},
        "environment": str(inquiry.environment),
        "team": project.path.partition("/")[0],
        "project": project.path,
        "caller": _caller(inquiry, project),
        "model": _model(inquiry),
        "runtime": _runtime(inquiry),
        "resources": _resources(inquiry),
        "evaluations": results,
        "present": inquiry.present is not None,
        "origin": _origin(inquiry),
    }
    return Facts(values, frozenset(unknown))


def _origin(inquiry: Inquiry) -> dict[str, str]:
    source = inquiry.origin.source if inquiry.origin else None
    return {
        "how": str(inquiry.origin.how) if inquiry.origin else "manifest",
        "environment": source.environment if source else "",
    }


async def _evaluations(inquiry: Inquiry) -> list[dict[str, Any]]:
    version, runtime = inquiry.version, inquiry.runtime
    if version is None or runtime is None:
        return []
    found = await evaluations.of_content(inquiry.tx, version.digest, runtime=runtime.name)
    return [
        {
            "suite": one.suite,
            "version": one.suite_version,
            "metric": name,
            "value": metric.value,
            "verdict": one.verdict.value if one.verdict else "",
        }
        for one in found
        for name, metric in one.metrics.items()
    ]


def _caller(inquiry: Inquiry, project: Project) -> dict[str, str]:
    caller = inquiry.caller
    role = caller.platform_role or caller.roles.get(project.team_id)
    return {
        "kind": caller.kind.value,
        "name": caller.name,
        "role": role.value if role else "deploy",
    }


def _model(inquiry: Inquiry) -> dict[str, Any]:
    version = inquiry.version
    if version is None:
        return {"format": ""}
    return {
        "name": version.model_name,
        "version": version.number,
        "digest": version.digest,
        "format": version.format,
        "licence": version.licence or "",
        "size_bytes": version.size_bytes,
        "tags": dict(version.tags),
        "card": version.card or "",
        "source": str(version.lineage.get("source") or ""),
        "carries_code": version.scanned.carries_code,
    }


def _runtime(inquiry: Inquiry) -> dict[str, Any]:
    runtime = inquiry.runtime
    if runtime is None:
        return {"name": ""}
    return {
        "name": runtime.name,
        "version": runtime.version,
        "shipped": runtime.shipped,
        "code_formats": list(runtime.code_formats),
    }


def _resources(inquiry: Inquiry) -> dict[str, int]:
    needs = inquiry.draft.resources or Resources()
    given = {
        "cpu_milli": needs.cpu_milli,
        "memory_bytes": needs.memory_bytes,
        "memory_limit_bytes": needs.memory_limit_bytes,
        "gpus": needs.gpus,
        "replicas": inquiry.draft.replicas,
    }
    return {name: value or 0 for name, value in given.items()}
