"""
Checking a manifest: against the registry, the runtimes, the machine and the names that are taken.

Everything that is wrong is listed at once, before anything is taken.
"""

from towpath_server.adapters.facilities import Facilities
from towpath_server.core import documents, revision, suggest
from towpath_server.core.access import Principal, Verb
from towpath_server.core.db import Tx
from towpath_server.core.errors import Finding, Forbidden, InvalidRequest, NotFound
from towpath_server.domains.deployments.errors import BeingDeleted, ManifestInvalid
from towpath_server.domains.deployments.models import Checked, Deployment, Draft
from towpath_server.domains.deployments.models.history import Origin
from towpath_server.domains.deployments.service.check import (
    code,
    fetching,
    fit,
    machine,
    model,
    network,
    outcome,
    policy,
    program,
    proving,
    quota,
    reserve,
    runtime,
    vram,
    whereto,
)
from towpath_server.domains.deployments.service.check.inquiry import Inquiry
from towpath_server.domains.deployments.store import deployments as store
from towpath_server.domains.endpoints import service as endpoints
from towpath_server.domains.endpoints.models import ENVIRONMENTS, AccessDraft, Declaration
from towpath_server.domains.endpoints.models.serving import Timeouts
from towpath_server.domains.projects import service as projects
from towpath_server.domains.projects.models import Project
from towpath_server.domains.runtimes import service as runtimes


async def check(
    tx: Tx,
    caller: Principal,
    draft: Draft,
    *,
    environment: str,
    facilities: Facilities,
    origin: Origin | None = None,
    fetch: bool = True,
) -> tuple[Checked, Deployment | None]:
    """
    Check a manifest; return what it comes to, and the deployment it changes, where there is one.

    Args:
        fetch: Whether a model from outside is fetched, when nothing else is wrong.
        origin: How it would come about, where it is not the caller's own manifest.

    Raises:
        NotFound: There is no such project that the caller may see.
        Forbidden: The caller may not deploy there.
        BeingDeleted: A deployment of this name is on its way out.
        ManifestInvalid: Something else is wrong. Each of them lists every finding.
        SourceFetching: Nothing is wrong so far, and the model is on its way.
        Deferred: Nothing is wrong so far, and the model is to be fetched first.
    """
    if environment not in ENVIRONMENTS:
        raise InvalidRequest(
            f"`{environment[:63]}` is not an environment.",
            fix=suggest.did_you_mean(environment, ENVIRONMENTS)
            or "Use `sandbox`, `staging` or `production`.",
            findings=[Finding("?environment", "It must be an environment.")],
        )
    await revision.hold(tx)  # what has room now must still have it at the commit
    inquiry = Inquiry(
        tx,
        caller,
        draft,
        environment,
        facilities,
        runtimes.catalog(facilities.runtimes_dir),
        await facilities.servers.capacity(),
        findings=[*draft.findings],
        origin=origin,
    )
    inquiry.project = await _project(inquiry)
    await whereto.check(inquiry)
    inquiry.present = await _present(inquiry)
    inquiry.version = await model.find(inquiry)
    inquiry.runtime = runtime.find(inquiry)
    program.check(inquiry)
    network.check(inquiry)
    code.check(inquiry)
    reserve.find(inquiry)
    inquiry.tests = proving.tests(inquiry)
    machine.check(inquiry)
    await quota.check(inquiry)
    await fit.check(inquiry)
    await vram.check(inquiry)
    if inquiry.project is not None:
        await _endpoint(inquiry, inquiry.project)
    await policy.check(inquiry)
    if inquiry.denied is not None:
        inquiry.denied.findings = tuple(documents.placed(f, draft.lines) for f in inquiry.findings)
        raise inquiry.denied
    if inquiry.findings:
        raise ManifestInvalid(
            [
                documents.placed(found.located(draft.moved), draft.lines)
                for found in inquiry.findings
            ]
        )
    if inquiry.awaited is not None:
        fetching.wait_for(inquiry, inquiry.awaited, begin=fetch)
    return outcome.checked(inquiry), inquiry.present


async def _project(inquiry: Inquiry) -> Project | None:
    metadata = inquiry.draft.metadata
    if metadata is None:
        return None
    ref = metadata.project or inquiry.caller.project
    if ref is None:
        fix = "Write it as `team/project`."
        inquiry.add("#/metadata/project", "Missing", "`project` is missing.", fix)
        return None
    tx, caller = inquiry.tx, inquiry.caller
    try:
        return await projects.resolve(tx, caller, ref, verb=Verb.CREATE, noun="deployment")
    except NotFound as error:
        inquiry.deny("#/metadata/project", "UnknownProject", error)
        return None
    except Forbidden as error:  # what else is wrong is theirs to know: they may look
        inquiry.deny("#/metadata/project", "NotAllowed", error)
        return await projects.resolve(tx, caller, ref, noun="deployment")


async def _present(inquiry: Inquiry) -> Deployment | None:
    metadata, project = inquiry.draft.metadata, inquiry.project
    if metadata is None or project is None:
        return None
    found = await store.find(inquiry.tx, metadata.name, inquiry.environment)
    if not found or found[0].project_id != project.id:
        return None  # a name of another project is the endpoint's finding
    if found[0].deleting:
        inquiry.deny("#/metadata/name", "BeingDeleted", BeingDeleted(metadata.name))
    return found[0]


async def _endpoint(inquiry: Inquiry, project: Project) -> None:
    draft, present = inquiry.draft, inquiry.present
    metadata, access = draft.metadata, draft.access
    if metadata is None:
        return
    declaration = Declaration(
        deployment_id=present.id if present else "",
        name=metadata.name,
        environment=inquiry.environment,
        team_id=project.team_id,
        project_id=project.id,
        access=access or AccessDraft(),
        timeouts=draft.timeouts or Timeouts(),
    )
    inquiry.findings += await endpoints.check_declaration(
        inquiry.tx, declaration, at="#/spec/access"
    )
