"""
Checking a manifest: against the registry, the runtimes, the machine and the names that are taken.

Everything that is wrong is listed at once, before anything is taken.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from towpath_server.adapters.facilities import Facilities
from towpath_server.core import suggest
from towpath_server.core.access import Principal, Verb
from towpath_server.core.db import Tx
from towpath_server.core.errors import Finding, InvalidRequest, NotFound
from towpath_server.core.upstream import Handling, Probe
from towpath_server.domains.deployments.errors import BeingDeleted, ManifestInvalid
from towpath_server.domains.deployments.models import (
    Checked,
    Deployment,
    Draft,
    ModelDraft,
    ProbeDraft,
    Resources,
    RuntimeDraft,
    Serving,
    Workload,
)
from towpath_server.domains.deployments.store import deployments as store
from towpath_server.domains.endpoints import service as endpoints
from towpath_server.domains.endpoints.models import (
    ENVIRONMENTS,
    AccessDraft,
    Declaration,
    can_embed,
)
from towpath_server.domains.endpoints.models.serving import Timeouts
from towpath_server.domains.models import service as models
from towpath_server.domains.models.models import ModelVersion
from towpath_server.domains.nodes import service as nodes
from towpath_server.domains.projects import service as projects
from towpath_server.domains.projects.models import Project
from towpath_server.domains.runtimes import service as runtimes
from towpath_server.domains.runtimes.models import Catalog, Runtime

_MIB = 1 << 20


async def check(
    tx: Tx, caller: Principal, draft: Draft, *, environment: str, facilities: Facilities
) -> tuple[Checked, Deployment | None]:
    """
    Check a manifest; return what it comes to, and the deployment it changes, where there is one.

    Raises:
        NotFound: There is no such project that the caller may see.
        Forbidden: The caller may not deploy there.
        BeingDeleted: A deployment of this name is on its way out.
        ManifestInvalid: Something else is wrong; every finding is listed.
    """
    if environment not in ENVIRONMENTS:
        raise InvalidRequest(
            f"`{environment[:63]}` is not an environment.",
            fix=suggest.did_you_mean(environment, ENVIRONMENTS)
            or "Use `sandbox`, `staging` or `production`.",
            findings=[Finding("?environment", "It must be an environment.")],
        )
    checker = _Checker(tx, caller, draft, facilities)
    project = await checker.project()
    present = await checker.present(environment, project)
    version = await checker.version()
    runtime = checker.runtime(version)
    checker.machine(runtime)
    await checker.memory(present)
    if project is not None:
        await checker.endpoint(environment, project, present)
    if checker.findings:
        raise ManifestInvalid([_with_line(finding, draft) for finding in checker.findings])
    return checker.checked(environment, project, version, runtime, present), present


class _Checker:
    """Looks at each part of a draft that could be read; collects what is wrong."""

    def __init__(self, tx: Tx, caller: Principal, draft: Draft, facilities: Facilities) -> None:
        self._tx = tx
        self._caller = caller
        self._draft = draft
        self._compute = facilities.compute
        self._catalog: Catalog = runtimes.catalog(facilities.runtimes_dir)
        self._machine = nodes.this_machine(facilities.compute.threads)
        self.findings: list[Finding] = [*draft.findings]

    def _add(self, pointer: str, detail: str, fix: str | None = None) -> None:
        self.findings.append(Finding(pointer, detail, fix))

    async def project(self) -> Project | None:
        metadata = self._draft.metadata
        if metadata is None:
            return None
        ref = metadata.project or self._caller.project
        if ref is None:
            self._add("#/metadata/project", "`project` is missing.", "Write it as `team/project`.")
            return None
        return await projects.resolve(
            self._tx, self._caller, ref, verb=Verb.CREATE, noun="deployment"
        )

    async def present(self, environment: str, project: Project | None) -> Deployment | None:
        metadata = self._draft.metadata
        if metadata is None or project is None:
            return None
        found = await store.find(self._tx, metadata.name, environment)
        if not found or found[0].project_id != project.id:
            return None  # a name of another project is the endpoint's finding
        if found[0].deleting:
            raise BeingDeleted(metadata.name)
        return found[0]

    async def version(self) -> ModelVersion | None:
        wanted = self._draft.model
        if wanted is None:
            return None
        at = "#/spec/model"
        try:
            version = await models.get_version(self._tx, self._caller, wanted.name, wanted.version)
        except NotFound as error:
            hint = await models.suggestion(self._tx, self._caller, wanted.name)
            known = hint is not None and f"`{wanted.name}`" in hint
            self._add(f"{at}/uri", error.detail, error.fix if known else hint or error.fix)
            return None
        self._compare(wanted, version, at)
        return version

    def _compare(self, wanted: ModelDraft, version: ModelVersion, at: str) -> None:
        if wanted.format is not None and wanted.format != version.format:
            detail = f"`{version.uri}` has the format `{version.format}`, not `{wanted.format}`."
            self._add(f"{at}/format", detail, f"Write `format: {version.format}`.")
        if wanted.digest is not None and wanted.digest != version.digest:
            detail = f"`{version.uri}` has the digest `{version.digest}`, not this one."
            self._add(f"{at}/digest", detail, "Name the version that has it, or correct it.")

    def runtime(self, version: ModelVersion | None) -> Runtime | None:
        wanted = self._draft.runtime
        if wanted is None:
            return None
        runtime = self._find_runtime(wanted, version)
        if runtime is None:
            return None
        if version is not None and version.format not in runtime.formats:
            fits = ", ".join(f"`{name}`" for name in self._catalog.serving(version.format))
            detail = f"The runtime `{runtime.name}` does not serve the format `{version.format}`."
            fix = f"Use {fits}." if fits else "No runtime here serves that format."
            self._add("#/spec/runtime/name", detail, fix)
        if version is not None and runtime.dialect == "kserve_v2" and version.signature is None:
            self._add(
                "#/spec/model/uri",
                f"`{version.uri}` has no signature, and `{runtime.name}` is called through one.",
                "Register the version with `signature`: names, types and shapes of its inputs and "
                "outputs.",
            )
        self._arguments(wanted, runtime)
        return runtime

    def _find_runtime(self, wanted: RuntimeDraft, version: ModelVersion | None) -> Runtime | None:
        if wanted.name is None:
            fits = self._catalog.serving(version.format) if version else []
            if len(fits) == 1:
                return self._catalog.find(fits[0], wanted.version)
            if version is not None:
                listed = ", ".join(f"`{name}`" for name in fits) or "none here"
                detail = f"`runtime.name` is missing, and `{version.format}` is served by {listed}."
                self._add("#/spec/runtime/name", detail, "Name a runtime.")
            return None
        runtime = self._catalog.find(wanted.name, wanted.version)
        if runtime is not None:
            return runtime
        if self._catalog.find(wanted.name) is not None:
            known = ", ".join(f"`{one}`" for one in self._catalog.versions(wanted.name))
            detail = f"The runtime `{wanted.name}` has no version `{wanted.version}` here."
            self._add("#/spec/runtime/version", detail, f"Use {known}, or leave it out.")
            return None
        hint = suggest.did_you_mean(wanted.name, self._catalog.names)
        listed = ", ".join(f"`{name}`" for name in self._catalog.names)
        detail = f"There is no runtime `{wanted.name}`."
        self._add("#/spec/runtime/name", detail, hint or f"Use one of {listed}.")
        return None

    def _arguments(self, wanted: RuntimeDraft, runtime: Runtime) -> None:
        allowed = [f"--{name}" for name in runtime.args]
        seen: set[str] = set()
        for index, text in enumerate(wanted.args):
            at = f"#/spec/runtime/args/{index}"
            option, separator, value = text.partition("=")
            rule = runtime.args.get(option.removeprefix("--"))
            if not option.startswith("--") or not separator:
                self._add(at, f"`{text}` is not `--name=value`.", "Write name and value in one.")
            elif rule is None:
                listed = ", ".join(f"`{name}`" for name in allowed) or "none"
                detail = f"`{option}` is not an argument that `{runtime.name}` takes here."
                hint = suggest.did_you_mean(option, allowed)
                self._add(at, detail, hint or f"It takes {listed}.")
            elif (refusal := rule.refusal(value)) is not None:
                self._add(at, f"`{option}`: {refusal}.", f"Give a value {rule.words}.")
            if option in seen:
                self._add(at, f"`{option}` stands twice.", "Leave one of them out.")
            seen.add(option)

    def machine(self, runtime: Runtime | None) -> None:
        needs, wanted = self._draft.resources, self._draft.runtime
        if not self._compute.enabled:
            self._add("#/spec", "This machine runs no model servers (`compute.enabled` is off).")
        threads = self._compute.threads
        if needs is not None and (needs.cpu_milli or 0) > threads * 1000:
            detail = f"It asks for more CPUs than the {threads} that models share here."
            self._add("#/spec/resources/requests/cpu", detail, f'At most `"{threads}"`.')
        given = _argument(wanted, "threads") if wanted else None
        if runtime is not None and given is not None and given > threads:
            detail = f"`--threads={given}` is more than the {threads} that models share here."
            self._add("#/spec/runtime/args", detail, f"At most `--threads={threads}`.")
        gpus = (needs.gpus or 0) * (self._draft.replicas or 1) if needs else 0
        if gpus > self._compute.gpus:
            detail = f"It asks for {gpus} GPUs in all, and this machine has {self._compute.gpus}."
            fix = "Ask for fewer, or leave it out where the runtime serves on CPUs."
            self._add("#/spec/resources/limits/nvidia.com~1gpu", detail, fix)
        if needs is None or needs.memory_bytes is None or needs.memory_limit_bytes is None:
            return
        if needs.memory_limit_bytes < needs.memory_bytes:
            detail = "The limit is below what is requested."
            self._add("#/spec/resources/limits/memory", detail, "Raise it, or request less.")

    async def memory(self, present: Deployment | None) -> None:
        needs, replicas = self._draft.resources, self._draft.replicas
        if needs is None or replicas is None or needs.memory_bytes is None:
            return
        wanted = needs.memory_bytes * replicas
        taken = await store.reserved_memory(self._tx, but=present.id if present else None)
        free = self._machine.memory_bytes - taken
        if wanted > free:
            total = self._machine.memory_bytes // _MIB
            self._add(
                "#/spec/resources/requests/memory",
                f"{replicas} × {needs.memory_bytes // _MIB} MiB does not fit: "
                f"{max(0, free) // _MIB} of {total} MiB are not reserved by other deployments.",
                "Request less, use fewer replicas, or delete a deployment.",
            )

    async def endpoint(
        self, environment: str, project: Project, present: Deployment | None
    ) -> None:
        metadata, access = self._draft.metadata, self._draft.access
        if metadata is None:
            return
        declaration = Declaration(
            deployment_id=present.id if present else "",
            name=metadata.name,
            environment=environment,
            team_id=project.team_id,
            project_id=project.id,
            access=access or AccessDraft(),
            timeouts=self._draft.timeouts or Timeouts(),
        )
        self.findings += await endpoints.check_declaration(
            self._tx, declaration, at="#/spec/access"
        )

    def checked(
        self,
        environment: str,
        project: Project | None,
        version: ModelVersion | None,
        runtime: Runtime | None,
        present: Deployment | None,
    ) -> Checked:
        draft = self._draft
        if project is None or version is None or runtime is None or draft.metadata is None:
            raise RuntimeError("a draft without findings has all its parts")
        wanted, needs = draft.runtime or RuntimeDraft(), draft.resources or Resources()
        replicas = draft.replicas or 1
        memory = needs.memory_bytes or 0
        fits = f"{replicas * memory // _MIB} MiB requested" if memory else "no memory requested"
        return Checked(
            name=draft.metadata.name,
            environment=environment,
            team_id=project.team_id,
            project_id=project.id,
            project_path=project.path,
            deployment_id=present.id if present else None,
            workload=self._workload(version, runtime, wanted, needs),
            serving=self._serving(version, runtime, project),
            replicas=replicas,
            memory_bytes=memory,
            prices=draft.prices,
            access=draft.access or AccessDraft(),
            timeouts=draft.timeouts or Timeouts(),
            manifest=_pinned(draft.document, version),
            message=f"{version.uri} on {runtime.name} {runtime.version}, {replicas} "
            f"replica{'s' if replicas > 1 else ''}, {fits}",
        )

    def _workload(
        self, version: ModelVersion, runtime: Runtime, wanted: RuntimeDraft, needs: Resources
    ) -> Workload:
        given = _argument(wanted, "threads")
        if given is None and needs.cpu_milli is not None:
            given = math.ceil(needs.cpu_milli / 1000)
        # Threads of an engine spin: with half of them each, any two that are busy fit the machine.
        threads = given or max(1, self._compute.threads // 2)
        return Workload(
            model=version.model_name,
            version=version.number,
            model_digest=version.digest,
            files=version.files,
            runtime=runtime.name,
            runtime_version=runtime.version,
            args=wanted.args,
            env=dict(wanted.env),
            threads=threads,
            memory_limit_bytes=needs.memory_limit_bytes,
            startup=self._draft.startup or ProbeDraft(),
            readiness=self._draft.readiness or ProbeDraft(),
        )

    def _serving(self, version: ModelVersion, runtime: Runtime, project: Project) -> Serving:
        context = _argument(self._draft.runtime or RuntimeDraft(), "context-length")
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
            max_data_class=self._draft.max_data_class,
            context_length=context,
            modalities=runtime.modalities or (("text",) if runtime.dialect == "openai" else ()),
            owned_by=project.path,
            handling=self._handling(runtime).document(),
        )

    def _handling(self, runtime: Runtime) -> Handling:
        """Say how its replicas are called: the gateway asks what the readiness probe asks."""
        draft, rule = self._draft.readiness or ProbeDraft(), runtime.readiness
        probe = Probe(
            path=draft.path or runtime.health_path,
            interval_ms=round((draft.period_s or rule.period_s) * 1000),
            **({"timeout_ms": round(draft.timeout_s * 1000)} if draft.timeout_s else {}),
        )
        needs = self._draft.resources or Resources()
        return Handling(
            max_concurrency=self._draft.max_concurrency,
            probe=probe,
            gpus=needs.gpus,
            quirks=runtime.quirks,
        )


def _argument(wanted: RuntimeDraft, name: str) -> int | None:
    for text in wanted.args:
        option, _, value = text.partition("=")
        if option == f"--{name}" and value.isdecimal() and len(value) < 10:
            return int(value)
    return None


def _pinned(document: Mapping[str, Any], version: ModelVersion) -> dict[str, Any]:
    """Write down which content was meant, whatever becomes of the name."""
    spec = document["spec"]
    model = {**spec["model"], "format": version.format, "digest": version.digest}
    return {**document, "spec": {**spec, "model": model}}


def _with_line(finding: Finding, draft: Draft) -> Finding:
    """Add the line at which the part, or the nearest part around it, stands."""
    pointer = finding.pointer
    while pointer and pointer not in draft.lines:
        pointer = pointer.rpartition("/")[0]
    line = draft.lines.get(pointer)
    return replace(finding, line=line) if line is not None else finding
