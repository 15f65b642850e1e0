"""What a manifest comes to, once nothing is wrong with it."""

from dataclasses import asdict
from typing import Any

from towpath_server.core.upstream import Handling, Probe
from towpath_server.domains.deployments.models import (
    ALIAS,
    Checked,
    Draft,
    ProbeDraft,
    Resources,
    RuntimeDraft,
    Serving,
    Workload,
)
from towpath_server.domains.deployments.models.proving import Proving
from towpath_server.domains.deployments.models.scaling import Scaling
from towpath_server.domains.deployments.service.check import policy
from towpath_server.domains.deployments.service.check.inquiry import Inquiry
from towpath_server.domains.deployments.service.check.runtime import argument
from towpath_server.domains.endpoints.models import AccessDraft, can_embed
from towpath_server.domains.endpoints.models.serving import Timeouts
from towpath_server.domains.models.models import ModelVersion
from towpath_server.domains.projects.models import Project
from towpath_server.domains.runtimes.models import Runtime


def checked(inquiry: Inquiry) -> Checked:
    """Say what a manifest without findings comes to."""
    project, version, runtime = inquiry.project, inquiry.version, inquiry.runtime
    environment, present = inquiry.environment, inquiry.present
    draft = inquiry.draft
    if (
        project is None
        or version is None
        or runtime is None
        or draft.metadata is None
        or inquiry.reserved is None
    ):
        raise RuntimeError("a draft without findings has all its parts")
    scaling = draft.scaling or Scaling.just(1)
    alias = f" ({draft.model.alias})" if draft.model and draft.model.alias else ""
    notes = [_replicas(scaling), *inquiry.notes]
    if inquiry.policies:
        word = "policy" if inquiry.policies == 1 else "policies"
        notes.append(f"{inquiry.policies} {word}")
    return Checked(
        name=draft.metadata.name,
        environment=environment,
        team_id=project.team_id,
        project_id=project.id,
        project_path=project.path,
        deployment_id=present.id if present else None,
        workload=_workload(inquiry, version, runtime),
        serving=_serving(draft, version, runtime, project),
        scaling=scaling,
        reserved=inquiry.reserved,
        prices=draft.prices,
        access=draft.access or AccessDraft(),
        timeouts=draft.timeouts or Timeouts(),
        manifest=_pinned(draft, version),
        message=f"{version.uri}{alias} on {runtime.name} {runtime.version}, {', '.join(notes)}",
        proving=Proving(inquiry.tests, draft.gates),
        rollout=draft.rollout,
        warnings=tuple(inquiry.warnings),
        audited=tuple(policy.noted(inquiry.audited)),
    )


def _replicas(scaling: Scaling) -> str:
    if scaling.fixed:
        return f"{scaling.most} replica{'s' if scaling.most > 1 else ''}"
    return f"{scaling.least} to {scaling.most} replicas by {scaling.metric}"


def _workload(inquiry: Inquiry, version: ModelVersion, runtime: Runtime) -> Workload:
    draft, wanted = inquiry.draft, inquiry.draft.runtime or RuntimeDraft()
    needs = draft.resources or Resources()
    return Workload(
        model=version.model_name,
        version=version.number,
        model_digest=version.digest,
        files=version.files,
        runtime=runtime.name,
        runtime_version=runtime.version,
        args=wanted.args,
        env=dict(wanted.env),
        threads=inquiry.threads,
        memory_limit_bytes=needs.memory_limit_bytes,
        startup=draft.startup or ProbeDraft(),
        readiness=draft.readiness or ProbeDraft(),
        gpus=needs.gpus or 0,
        gpu_class=inquiry.reserved.gpu_class if inquiry.reserved else None,
        cpu_limit_milli=needs.cpu_limit_milli,
    )


def _serving(draft: Draft, version: ModelVersion, runtime: Runtime, project: Project) -> Serving:
    context = argument(draft.runtime or RuntimeDraft(), "context-length")
    rule = runtime.args.get("context-length")
    if context is None and rule is not None and rule.default is not None:
        context = int(rule.default)
    embeds = runtime.dialect != "kserve_v2" or can_embed(version.signature)
    operations = tuple(one for one in runtime.operations if one != "embeddings" or embeds)
    fields = {
        name: {
            bound: value
            for bound, value in asdict(rule).items()
            if value is not None and bound != "default"
        }
        for name, rule in runtime.request_fields.items()
    }
    return Serving(
        dialect=runtime.dialect,
        operations=operations,
        request_fields=fields,
        signature=version.signature,
        max_data_class=draft.max_data_class,
        context_length=context,
        modalities=runtime.modalities or (("text",) if runtime.dialect == "openai" else ()),
        owned_by=project.path,
        handling=_handling(draft, runtime).document(),
    )


def _handling(draft: Draft, runtime: Runtime) -> Handling:
    """Say how its replicas are called: the gateway asks what the readiness probe asks."""
    asked, rule = draft.readiness or ProbeDraft(), runtime.readiness
    probe = Probe(
        path=asked.path or runtime.health_path,
        interval_ms=round((asked.period_s or rule.period_s) * 1000),
        **({"timeout_ms": round(asked.timeout_s * 1000)} if asked.timeout_s else {}),
    )
    needs = draft.resources or Resources()
    return Handling(
        max_concurrency=draft.max_concurrency,
        probe=probe,
        gpus=needs.gpus,
        quirks=runtime.quirks,
    )


def _pinned(draft: Draft, version: ModelVersion) -> dict[str, Any]:
    """Write down which content was meant, whatever becomes of the name; an alias is remembered."""
    document = draft.declared
    spec, metadata = document["spec"], document["metadata"]
    model = {**spec["model"], "uri": version.uri}
    model |= {"format": version.format, "digest": version.digest}
    if draft.model is not None and draft.model.alias is not None:
        annotations = {**(metadata.get("annotations") or {}), ALIAS: draft.model.alias}
        metadata = {**metadata, "annotations": annotations}
    return {**document, "metadata": metadata, "spec": {**spec, "model": model}}
